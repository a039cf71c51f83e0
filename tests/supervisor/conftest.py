import logging

import pytest


@pytest.fixture(autouse=True)
def quiet_logs():
    """Crash reports on purpose need no place in the test output."""
    logger = logging.getLogger("greenroom.supervisor")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    yield
    logger.setLevel(before)
