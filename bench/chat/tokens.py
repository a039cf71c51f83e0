"""Make tokens for as many users, one a line.

python bench/chat/tokens.py --count 5000 > tokens.txt    (the secret: GREENROOM_JWT_SECRET)
"""

import argparse
import os
import sys
import time
from collections.abc import Iterator

from greenroom.protocol import issue_token

LIFETIME_SECONDS = 86_400


def make_tokens(count: int, secret: str) -> Iterator[str]:
    """Yield a token for each of `count` users, good for a day."""
    now = time.time()
    for number in range(count):
        yield issue_token(
            f"user-{number}", secret=secret, now=now, lifetime_seconds=LIFETIME_SECONDS
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--count", type=int, default=5000)
    options = parser.parse_args()
    secret = os.environ.get("GREENROOM_JWT_SECRET")
    if not secret:
        sys.exit("GREENROOM_JWT_SECRET is not set")
    for token in make_tokens(options.count, secret):
        print(token)


if __name__ == "__main__":
    main()
