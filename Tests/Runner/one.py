"""Runs one test method of one file and writes what came of it as JSON."""

import importlib.util
import json
import pathlib
import re
import signal
import sys
import unittest

TESTS = pathlib.Path(__file__).resolve().parent.parent


class Stopped(BaseException):
    """SIGTERM came; raised so that every clean-up of the test still runs."""


def stop(number, frame):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise Stopped


def main():
    path, name, output = pathlib.Path(sys.argv[1]), sys.argv[2], pathlib.Path(sys.argv[3])
    signal.signal(signal.SIGTERM, stop)
    # `harness` is in Tests/System whichever folder the test is in.
    sys.path[:0] = [str(path.parent), str(TESTS / "System"), str(TESTS / "Interop")]
    told = {"state": "failed", "text": "was stopped"}
    try:
        specification = importlib.util.spec_from_file_location(path.stem, path)
        module = importlib.util.module_from_spec(specification)
        specification.loader.exec_module(module)
        suite = unittest.defaultTestLoader.loadTestsFromName(name, module)
        tests = list(suite)  # a suite forgets each test once it ran
        result = unittest.TextTestRunner(verbosity=2).run(suite)
        told = verdict(result)
        told["notes"] = [note for test in tests for note in getattr(test, "notes", [])]
    except Stopped:
        pass
    except Exception as error:
        told = {"state": "failed", "text": f"{type(error).__name__}: {error}"}
        raise
    finally:
        output.write_text(json.dumps(told))
    return 0 if told["state"] != "failed" else 1


def verdict(result):
    for _, text in result.errors + result.failures:
        # The line that names the exception; what follows it may be pages.
        named = [line for line in text.split("\n") if re.match(r"[\w.]+(Error|Exception|Expired|Failure)\b", line)]
        return {"state": "failed", "text": (named or text.strip().split("\n"))[-1][:300]}
    for _, reason in result.skipped:
        return {"state": "skipped", "text": reason}
    if result.unexpectedSuccesses or result.testsRun != 1:
        return {"state": "failed", "text": f"{result.testsRun} tests ran where one should"}
    return {"state": "passed", "text": ""}


sys.exit(main())
