from tests.fuzz.seed import SEED


def pytest_report_header() -> str:
    return f"fuzzing: FUZZ_SEED={SEED}"
