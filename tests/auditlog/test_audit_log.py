"""A log is whole after a kill at any moment, and the next run goes on where it ended."""

import os
import random
import signal
import subprocess
import sys

from mealkit.auditlog.audit_key import AuditKey
from mealkit.auditlog.chain_folder import chain_files
from mealkit.auditlog.chain_reader import ChainReader

# The whole number is for changes of the log; a part of it finds what is wrong at most moments.
KILLS = 200 if os.environ.get("MEALKIT_TESTS_COMPLETE") else 12
KEY = AuditKey(bytes(range(32)))
RUN = """
import sys
from pathlib import Path
from mealkit.auditlog.audit_key import AuditKey
from mealkit.auditlog.audit_line import encoded
from mealkit.auditlog.audit_log import AuditLog, LogListener, LogSettings

settings = LogSettings(stops=True, max_file_bytes=30_000, max_files=10000, sync_seconds=0.01)
log = AuditLog(Path(sys.argv[1]), (AuditKey(bytes(range(32))),), {"kit": "a:1"}, settings, LogListener())
count = 0
while True:
    count += 1
    log.write("begun", encoded({"id": f"{sys.argv[2]}-{count}", "text": "x" * (count * 37 % 900)}))
    sys.stdout.write(f"{sys.argv[2]}-{count}\\n")
    sys.stdout.flush()
"""


def test_kills(tmp_path):
    """No line is missing of which `write` has returned, whenever the process is killed."""
    chance = random.Random(2026)
    answered = set()
    for number in range(KILLS):
        process = subprocess.Popen(
            [sys.executable, "-c", RUN, str(tmp_path), str(number)],
            stdout=subprocess.PIPE,
        )
        assert process.stdout
        for _ in range(chance.randrange(1, 120)):
            answered.add(process.stdout.readline().strip())
        process.kill()
        rest = process.stdout.read()
        process.stdout.close()
        assert process.wait() == -signal.SIGKILL
        answered |= {
            line.strip() for line in rest.splitlines(keepends=True) if line.endswith(b"\n")
        }
    reader, text = ChainReader([KEY]), b""
    for path in chain_files(tmp_path / "chain-0001"):
        assert reader.read(path, lambda _: None), reader.fault
        text += path.read_bytes()
    missing = [name for name in answered if b'"id":"%b"' % name not in text]
    assert not missing
    assert reader.counts.first == 1
    assert len(answered) <= reader.counts.begun <= len(answered) + KILLS
    assert not (tmp_path / "chain-0002").exists()
