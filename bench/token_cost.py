"""What checking a token costs, by algorithm, against HS256: `python bench/token_cost.py`.

The keys are read beforehand, as a node does; what is measured is `verify_with_keys` as a whole, in
processor time.
"""

import math
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import jwt
from support.key_pairs import jwks, pair, secret_jwk

from greenroom.protocol import ALGORITHMS, HMAC_BYTES, KeySet, read_jwks, verify_with_keys

ROUNDS, CHECKS = 30, 50
CLAIMS = {"sub": "ann", "iat": 1_800_000_000, "exp": 1_800_003_600, "jti": "0" * 24}
SECRET = b"s" * 64


def token_of(algorithm: str) -> tuple[KeySet, str]:
    if algorithm in HMAC_BYTES:
        key = secret_jwk(SECRET, algorithm, kid="k")
        token = jwt.encode(CLAIMS, SECRET, algorithm=algorithm, headers={"kid": "k"})
    else:
        key, token = pair(algorithm).jwk("k"), pair(algorithm).sign(CLAIMS, "k")
    return KeySet(read_jwks(jwks(key), symmetric=True).keys), token


def seconds_of_round(keys: KeySet, token: str) -> float:
    """Processor time: what else the machine does is not ours to count."""
    start = time.thread_time()
    for _ in range(CHECKS):
        verify_with_keys(token, keys=keys, now=1_800_000_000)
    return time.thread_time() - start


def main() -> None:
    tokens = {algorithm: token_of(algorithm) for algorithm in ALGORITHMS}
    best = dict.fromkeys(ALGORITHMS, math.inf)
    for _ in range(ROUNDS):  # all in turn, so that none has the quiet minute for itself
        for algorithm, token in tokens.items():
            best[algorithm] = min(best[algorithm], seconds_of_round(*token))
    cost = {algorithm: seconds / CHECKS * 1e6 for algorithm, seconds in best.items()}
    print("| algorithm | µs | ratio to HS256 |\n|---|---|---|")
    for algorithm, each in cost.items():
        print(f"| {algorithm} | {each:.0f} | {each / cost['HS256']:.1f} |")


if __name__ == "__main__":
    main()
