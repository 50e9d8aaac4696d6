"""What is to be taken out of the project is still there, and so are the tests that then fail."""

import pytest

from tests.faults.protections import PROTECTIONS, Protection
from tests.system import ROOT


@pytest.mark.parametrize("protection", PROTECTIONS, ids=lambda protection: protection.name)
def test_a_protection_can_be_taken_out_and_its_tests_exist(protection: Protection) -> None:
    texts: dict[str, str] = {}
    for edit in protection.edits:
        text = texts.get(edit.file) or (ROOT / edit.file).read_text()
        texts[edit.file] = edit.applied_to(text)
    for file, text in texts.items():
        if file.endswith(".py"):
            compile(text, file, "exec")
    for test in protection.tests:
        file, _, name = test.partition("::")
        assert f"def {name.partition('[')[0]}(" in (ROOT / file).read_text()


def test_every_fault_test_is_seen_red_without_some_protection() -> None:
    seen = {test.partition("[")[0] for protection in PROTECTIONS for test in protection.tests}
    for file in (ROOT / "tests" / "faults").glob("test_*.py"):
        for line in file.read_text().splitlines():
            if line.startswith("def test_"):
                test = f"tests/faults/{file.name}::{line[4:].partition('(')[0]}"
                assert test in seen, test
