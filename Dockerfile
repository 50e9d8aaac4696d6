# One image for every program of ours: bridge, worker, Flower, and what the profile `local` adds.
FROM python:3.13-slim

ENV PYTHONUNBUFFERED=1 \
    HOME=/tmp

WORKDIR /opt/profit-bridge

# The user first, then what changes seldom: code alone makes no layer above it again.
# The id is fixed, so that files outside can be made readable and writable for it.
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /nonexistent \
        --shell /usr/sbin/nologin bridge \
    && install --directory --owner=bridge --group=bridge --mode=0750 /data

COPY requirements/runtime.txt requirements/constraints.txt requirements/
RUN python -m pip install --no-cache-dir --disable-pip-version-check --root-user-action=ignore \
        -r requirements/runtime.txt -c requirements/constraints.txt

COPY celeryconfig.py ./
COPY tasks tasks
COPY app app
# Readable whatever the umask of the checkout was; compiled, for the file system is read-only then.
RUN chmod -R u=rwX,go=rX . && python -m compileall -q .
ENV PYTHONDONTWRITEBYTECODE=1

# The ledger and the daily JSON; a new named volume that is mounted here belongs to our user too.
ENV PROFIT_BASE_PATH=/data
USER 10001:10001

STOPSIGNAL SIGTERM
CMD ["python", "-m", "app", "bridge"]
