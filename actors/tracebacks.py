"""Errors without the frames that they have passed.

An error keeps these, and one of them may keep the error: h11 raises its own in a method of theirs,
Trio's streams make theirs from the system's in a context manager (from Python 3.12 on), and whoever
catches one and returns it puts it into a frame that it has passed. That is a cycle, which only the
garbage collector frees, with all that the frames hold.
"""


def forget_frames(error: BaseException) -> None:
    """Cut an error, and those that it comes from, off from all frames: nobody wants to see them."""
    link: BaseException | None = error
    while link is not None:
        link.__traceback__ = None
        for part in getattr(link, "exceptions", ()):  # of a group
            forget_frames(part)
        link = link.__cause__ or link.__context__
