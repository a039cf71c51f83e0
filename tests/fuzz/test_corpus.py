"""What fuzzing has found stays mended, and what is near it is tried, without the fuzzer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.fuzz_corpus import FOLDER, read_corpus
from support.fuzz_targets import TARGETS

CORPUS = {target: read_corpus(target) for target in TARGETS}


@pytest.mark.parametrize("target", TARGETS)
def test_every_input_of_the_corpus_is_borne(target: str) -> None:
    assert CORPUS[target]
    for data in CORPUS[target]:
        TARGETS[target](data)


@pytest.mark.parametrize("target", TARGETS)
@given(st.data())
def test_what_is_near_the_corpus_is_borne(target: str, data: st.DataObject) -> None:
    """One input up to a place, some bytes, and the rest of the same or of another one."""
    first, second = (data.draw(st.sampled_from(CORPUS[target])) for _ in range(2))
    end = data.draw(st.integers(0, len(first)))
    start = data.draw(st.integers(0, len(second)))
    TARGETS[target](first[:end] + data.draw(st.binary(max_size=12)) + second[start:])


def test_every_corpus_belongs_to_a_target() -> None:
    assert {path.stem for path in FOLDER.iterdir()} == set(TARGETS)
