"""What protects against each fault, and how to take it out: a test that stays green then is none.

`python -m tests.faults.without_protections` takes each of these out of a copy of the project and
runs the tests that must fail without it.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Edit:
    """A change to a file of the project; `old` occurs exactly once in it."""

    file: str
    old: str
    new: str

    def applied_to(self, text: str) -> str:
        """`text` with the change made.

        Raises:
            ValueError: `old` does not occur exactly once.
        """
        count = text.count(self.old)
        if count != 1:
            raise ValueError(f"{self.file}: {self.old!r} occurs {count} times, not once")
        return text.replace(self.old, self.new)


@dataclass(frozen=True)
class Protection:
    """Something that the project does against faults.

    Attributes:
        name: what it is, in the words of the domain.
        tests: pytest ids, each of which fails without it.
        edits: that take it out. Several where another protection covers it.
    """

    name: str
    tests: tuple[str, ...]
    edits: tuple[Edit, ...]


_BRIDGE = "tests/faults/test_bridge_killed.py::"
_DISK = "tests/faults/test_delivery_and_disk.py::"
_GOOGLE = "tests/faults/test_google.py::"
_FIREBASE = "tests/faults/test_firebase.py::"
_PUBLISHER = "tests/acceptance/test_publisher.py::"
_REDIS = "tests/faults/test_redis.py::"
_RESTARTS = "tests/acceptance/test_restarts.py::"
_SPOOL = "tests/integration/publisher/test_spool.py::"
_WORKERS = "tests/faults/test_workers_killed.py::"

_OVERDUE = Edit(
    "app/delivery/dispatcher.py",
    "candidates = self._register.overdue(BULK_SIZE)",
    "candidates = []",
)
_RETRY = Edit(
    "tasks/store.py",
    "raise task.retry(exc=error, countdown=pause) from None",
    "raise GiveUp(f'{error} {pause}') from None",
)
_CHANGED_BY_OTHERS = Edit(
    "app/accounting/daily_file.py", "            self._find_changed_by_others()\n", ""
)

PROTECTIONS = [
    # The bridge killed
    Protection(
        "the journal is read on from where the ledger is",
        (
            _BRIDGE + "test_killed_at_random_moments[0]",
            _BRIDGE + "test_killed_right_after_a_step[receive]",
        ),
        (
            Edit(
                "app/accounting/ledger.py",
                'read_position(self._db, "journal") or "0-0"',
                "f\"{__import__('time').time_ns() // 1_000_000}-0\"",
            ),
        ),
    ),
    Protection(
        "what was recorded and perhaps not published is published at the next start",
        tuple(
            _BRIDGE + f"test_killed_right_after_a_step[{step}]"
            for step in ("commit", "file", "send", "publish", "dispatch")
        ),
        (
            Edit(
                "app/accounting/bookkeeper.py",
                "reports = self._ledger.unpublished()",
                "reports: list[ProfitReport] = []",
            ),
        ),
    ),
    Protection(
        "a report that an imported file contains is taken from its opening balance",
        (
            _BRIDGE + "test_killed_while_a_lost_ledger_is_rebuilt",
            _RESTARTS
            + "test_a_lost_ledger_is_rebuilt_from_the_daily_file_and_counts_nothing_twice",
            _RESTARTS + "test_a_lost_ledger_rebuilds_yesterday_from_its_file_too",
            _RESTARTS
            + "test_what_the_daily_file_had_counts_once_however_often_it_is_published_again",
        ),
        (
            Edit(
                "app/accounting/bookkeeper.py",
                "is_imported = report.timestamp_us <= imported_until",
                "is_imported = False",
            ),
        ),
    ),
    Protection(
        "reports that an imported file contains are looked for before anything else is counted",
        (
            "tests/integration/bridge/test_service.py::"
            "test_a_report_of_an_imported_file_that_arrives_before_the_journal_is_read_counts_once",
        ),
        (
            Edit("app/bridge/service.py", "if self.intake.is_rebuilding:", "if False:"),
            Edit(
                "app/bridge/service.py",
                "self._process(arrivals.batch)",
                "self._process(arrivals.batch)\n        self._rebuild()",
            ),
        ),
    ),
    Protection(
        "a report that moves from an opening balance is marked in the same transaction",
        (_BRIDGE + "test_killed_while_a_lost_ledger_is_rebuilt",),
        (Edit("app/accounting/ledger.py", "published = last_id\n", "pass\n"),),
    ),
    Protection(
        "one bridge per ledger",
        (_BRIDGE + "test_a_second_bridge_refuses_until_the_first_is_killed",),
        (
            Edit(
                "app/accounting/ledger_file.py",
                "fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)",
                "pass",
            ),
        ),
    ),
    # Delivery
    Protection(
        "a report has an identity, and counts once",
        (
            _DISK + "test_repeated_and_reordered",
            _REDIS + "test_paused_again_and_again_while_tasks_are_enqueued",
            _PUBLISHER + "test_a_bot_killed_between_sending_and_forgetting_doubles_nothing",
        ),
        (
            Edit(
                "app/accounting/schema.py",
                "UNIQUE INDEX IF NOT EXISTS report_time",
                "INDEX IF NOT EXISTS report_time",
            ),
        ),
    ),
    Protection(
        "a late report is not shown where there is a newer day",
        (_DISK + "test_late_across_midnight_and_unknown_past_days",),
        (Edit("app/domain/totals.py", "is_last = day >= self._last", "is_last = True"),),
    ),
    Protection(
        "a report may come from a clock that is ahead of the bridge's",
        (_DISK + "test_bridge_clock_set_back_and_ahead[-2]",),
        (Edit("app/domain/times.py", "timedelta(minutes=5)", "timedelta(seconds=1)"),),
    ),
    Protection(
        "a report may come from a clock that is behind the bridge's",
        (_DISK + "test_bridge_clock_set_back_and_ahead[2]",),
        (Edit("app/domain/times.py", "timedelta(days=7)", "timedelta(minutes=1)"),),
    ),
    # Disks
    Protection(
        "what could not be written to the disk is not counted, and tried again",
        (_DISK + "test_disk_full",),
        (
            Edit(
                "app/accounting/bookkeeper.py",
                'raise RetryLater(f"the ledger cannot be written: {error}") from None',
                'log.error("not_counted", reason=error)\n'
                "            self._ledger.journal_position = batch.journal_position\n"
                "            return []",
            ),
        ),
    ),
    Protection(
        "what a failed disk did not take is read from the journal",
        (_DISK + "test_disk_that_fails_and_becomes_read_only_under_the_bridge",),
        (
            Edit(
                "app/accounting/ledger.py",
                'read_position(self._db, "journal") or "0-0"',
                "f\"{__import__('time').time_ns() // 1_000_000}-0\"",
            ),
            Edit(
                "app/messaging/journal.py",
                "known, is_other, dropped = _compare(known, info)",
                "entries = [e for e in entries if _order(e.position) > _order(known.entry)]",
            ),
        ),
    ),
    Protection(
        "the journal's position is in the transaction of the reports",
        tuple(_DISK + f"test_ledger_cut_off_in_mid_write[{cut}]" for cut in (1, 100, 5000)),
        (
            Edit(
                "app/accounting/ledger.py",
                "moved: list[Outcome] = []\n",
                "moved: list[Outcome] = []\n"
                '        self._set_position("journal", journal_position)\n',
            ),
        ),
    ),
    Protection(
        "a daily file that could not be written is written later",
        (
            _DISK + "test_daily_file_that_cannot_be_written",
            _DISK + "test_daily_file_on_a_disk_that_is_read_only_for_a_while",
        ),
        (
            Edit(
                "app/accounting/daily_file.py",
                "                with self._lock:\n"
                "                    self._dirty.add(day)\n"
                "                self._wake.set()\n",
                "",
            ),
            _CHANGED_BY_OTHERS,
        ),
    ),
    Protection(
        "a daily file that another program changed is written again",
        tuple(_DISK + f"test_daily_file_harmed_under_load[{harm}]" for harm in ("delete", "flip")),
        (_CHANGED_BY_OTHERS,),
    ),
    Protection(
        "a torn daily file is copied for an operator",
        (_DISK + "test_daily_file_harmed_under_load[tear]",),
        (
            Edit(
                "app/accounting/daily_file.py",
                "        _copy_if_unusable(path)\n",
                "        pass\n",
            ),
        ),
    ),
    # Redis
    Protection(
        "a slot that is reserved for a retry is free again soon after it",
        (_REDIS + "test_killed_and_restarted_under_load_with_workers_holding_retries",),
        (Edit("app/delivery/store.py", "RETRY_MARGIN = 15.0", "RETRY_MARGIN = 3600.0"),),
    ),
    Protection(
        "a journal that Redis lost is read from its start",
        (_REDIS + "test_restarted_with_all_its_data_lost",),
        (
            Edit(
                "app/messaging/journal.py",
                "known, is_other, dropped = _compare(known, info)",
                "return Reading([], position)",
            ),
        ),
    ),
    Protection(
        "all newest figures are proposed again from time to time",
        (
            _REDIS + "test_restarted_with_all_its_data_lost",
            _FIREBASE + "test_rules_that_deny_one_symbol",
            _FIREBASE + "test_credentials_that_are_wrong_and_then_fixed",
            _FIREBASE + "test_a_fifth_of_the_nodes_corrupted_by_hand",
        ),
        (Edit("app/bridge/service.py", "self.settings.reconcile_seconds", "86_400"),),
    ),
    Protection(
        "a subscription that does not answer a PING is given up",
        (_REDIS + "test_half_open_on_the_bridges_side",),
        (Edit("app/messaging/subscription.py", "PONG_WITHIN = 4.0", "PONG_WITHIN = 3600.0"),),
    ),
    Protection(
        "a worker waits for its broker only so long",
        (_REDIS + "test_half_open_on_the_workers_side",),
        (Edit("celeryconfig.py", '    "socket_timeout": 5,\n', ""),),
    ),
    Protection(
        "a bot waits for an answer only so long",
        (_REDIS + "test_half_open_on_the_publishers_side",),
        (
            Edit(
                "app/publisher/connection.py",
                "return max(_SHORTEST_WAIT, deadline - time.monotonic())",
                "return 3600.0",
            ),
        ),
    ),
    Protection(
        "a worker survives a full Redis",
        (_REDIS + "test_memory_full",),
        (
            Edit(
                "celeryconfig.py",
                "broker_channel_error_retry = True",
                "broker_channel_error_retry = False",
            ),
        ),
    ),
    Protection(
        "a bridge that was cut off subscribes again, or reads the journal unasked",
        (_REDIS + "test_cut_off_for_slowness",),
        (
            Edit(
                "app/messaging/subscription.py",
                "if self._connection is None:\n                    self._subscribe()",
                'if self._connection is None:\n                    raise OSError("not again")',
            ),
            Edit(
                "app/bridge/intake.py",
                "JOURNAL_CHECK_SECONDS = 1.0",
                "JOURNAL_CHECK_SECONDS = 3600.0",
            ),
        ),
    ),
    Protection(
        "an overdue slot is dispatched again",
        (
            _REDIS + "test_tasks_lost_from_the_queue",
            _WORKERS + "test_workers_killed_whole",
        ),
        (_OVERDUE,),
    ),
    Protection(
        "an order that was taken and not stored is taken again",
        (_REDIS + "test_an_order_whose_task_was_lost_is_stored",),
        (
            Edit(
                "app/delivery/lua/take_orders.lua",
                "redis.call('ZADD', open_slots, now + grace, key)",
                "redis.call('ZADD', open_slots, now + 1000 * grace, key)",
            ),
        ),
    ),
    # Workers
    Protection(
        "a task that dies with its process is delivered again",
        (_WORKERS + "test_children_killed_in_mid_write",),
        (
            Edit(
                "celeryconfig.py",
                "task_reject_on_worker_lost = True",
                "task_reject_on_worker_lost = False",
            ),
            _OVERDUE,
        ),
    ),
    Protection(
        "a slot has one writer at a time",
        (
            _REDIS + "test_client_killed_in_mid_task",
            _FIREBASE + "test_troubled[slow, 3 s for a share-fault2]",
        ),
        (
            Edit(
                "app/delivery/lua/propose.lua",
                "if is_held_by_another(slot) then",
                "if false then",
            ),
        ),
    ),
    # Firebase
    Protection(
        "retries are seconds apart, however long the outage was",
        (_FIREBASE + "test_down_for_two_minutes_under_load",),
        (Edit("tasks/store.py", "LONGEST_PAUSE = 4.0", "LONGEST_PAUSE = 60.0"),),
    ),
    Protection(
        "a retrying task reserves its slots, so that each slot has at most one",
        (_FIREBASE + "test_down_for_two_minutes_under_load",),
        (
            Edit(
                "app/delivery/store.py",
                "self._register.extend(left, holder, seconds, outcome_unknown=unknown)",
                "self._register.release(left, holder, outcome_unknown=unknown)",
            ),
        ),
    ),
    Protection(
        "a store that failed for a while is tried again",
        (
            _FIREBASE + "test_troubled[503 for a share of calls-fault0]",
            _FIREBASE + "test_troubled[commit, then drop the connection-fault3]",
            _FIREBASE + "test_troubled[drop the connection, then nothing-fault4]",
        ),
        (_RETRY, _OVERDUE),
    ),
    Protection(
        "a holder checks for a newer value after each write",
        (_FIREBASE + "test_troubled[slow, 40 ms-fault1]",),
        (
            Edit(
                "app/delivery/store.py",
                "newer += self._settle(attempt, holder, result)\n                refused_kinds",
                "self._settle(attempt, holder, result)\n                refused_kinds",
            ),
            _OVERDUE,
        ),
    ),
    Protection(
        "a slot is written once more when a write without an answer can land no more",
        (_FIREBASE + "test_writes_that_land_after_their_timeout_over_newer_data",),
        (
            Edit(
                "app/delivery/register.py",
                "return _ms(LONGEST_WRITE_SECONDS) if outcome_unknown else 0",
                "return 0",
            ),
        ),
    ),
    Protection(
        "the rules of the database refuse a performance that is older than the one there",
        (
            "tests/acceptance/test_database_rules.py::"
            "test_a_write_that_lands_after_its_timeout_changes_nothing",
        ),
        (
            Edit(
                "database.rules.json",
                "newData.child('timestamp').val() >= data.child('timestamp').val()",
                "true",
            ),
        ),
    ),
    Protection(
        "what another program publishes last is stored, though its times step back",
        (
            "tests/acceptance/test_subscriber.py::"
            "test_the_last_is_stored_with_a_time_that_never_steps_back",
        ),
        (
            Edit(
                "app/bridge/subscriber_service.py",
                "        self.times.correct(values)\n",
                "",
            ),
        ),
    ),
    Protection(
        "the one value that Firebase refuses is found, and the others are stored",
        (_FIREBASE + "test_one_poisoned_symbol_in_a_bulk_write",),
        (Edit("app/delivery/store.py", "if len(writes) == 1:", "if True:"),),
    ),
    Protection(
        "what Firebase refuses waits, and all of a refused kind together",
        (
            _GOOGLE + "test_300_refused_symbols_are_no_storm",
            _GOOGLE + "test_one_refused_symbol_of_500_costs_the_others_nothing",
        ),
        (
            Edit(
                "app/delivery/lua/propose.lua",
                "return false\n  elseif kind.pauses",
                "return true\n  elseif kind.pauses",
            ),
            Edit("app/delivery/lua/announce.lua", "waits_until(slot) > now", "false"),
        ),
    ),
    Protection(
        "every failed sign-in that is not Google's own never is tried again",
        tuple(
            f"{_GOOGLE}test_sign_in_that_fails_for_a_while[{way}]"
            for way in ("502", "latin-1 page", "HTML 200", "reset", "swallowed")
        ),
        (_RETRY, _OVERDUE),
    ),
    Protection(
        "only Firebase's own answer to a write is success",
        tuple(
            f"{_GOOGLE}test_what_is_no_database_is_named_and_nothing_counts_as_stored[{answer}]"
            for answer in ("302", "301", "304", "200 with HTML")
        ),
        (
            Edit(
                "app/firebase/errors.py",
                "if status == _success_of(request):",
                "if status < 400:",
            ),
        ),
    ),
    Protection(
        "a call ends by its deadline, whatever trickles in",
        (_GOOGLE + "test_an_answer_that_trickles_in_ends_before_the_lease",),
        (Edit("app/firebase/client.py", "CALL_SECONDS = 11.0", "CALL_SECONDS = 1100.0"),),
    ),
    # The publisher's spool
    Protection(
        "what a bot that was killed has left is sent by the next one",
        (_PUBLISHER + "test_a_killed_bot_leaves_its_reports_to_the_next_one",),
        (Edit("app/publisher/publisher.py", "        self._sender.take_over_leftovers()\n", ""),),
    ),
    Protection(
        "what is spooled goes first",
        (
            _PUBLISHER
            + "test_reports_made_while_redis_is_down_arrive_by_themselves_once_and_in_order",
        ),
        (
            Edit(
                "app/publisher/sender.py",
                "self._spool.oldest(_BATCH)",
                "self._spool.oldest(_BATCH)[::-1]",
            ),
        ),
    ),
    Protection(
        "a spooled report that is torn or damaged is known by its checksum",
        (_SPOOL + "test_a_damaged_record_is_left_to_a_person_and_the_others_are_sent",),
        (
            Edit(
                "app/publisher/spool.py",
                'if checksum == b"%08x" % zlib.crc32(message):',
                "if checksum:",
            ),
        ),
    ),
    Protection(
        "the spool of a bot that lives is left alone",
        (
            _SPOOL + "test_two_writers_in_one_folder_leave_each_other_alone",
            _SPOOL + "test_a_process_that_lives_keeps_its_file_and_one_that_is_killed_leaves_it",
        ),
        (
            Edit(
                "app/publisher/spool.py",
                "fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)",
                "pass",
            ),
        ),
    ),
]
