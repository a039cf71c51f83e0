"""What a later schema may not do to an earlier one: a frame of either is read by the other."""

from collections.abc import Iterator

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
)


def broken_promises(old: FileDescriptorProto, new: FileDescriptorProto) -> list[str]:
    """Each thing that `new` changed and must not, as a sentence."""
    return list(_broken(old, new))


def _broken(old: FileDescriptorProto, new: FileDescriptorProto) -> Iterator[str]:
    if (old.package, old.syntax) != (new.package, new.syntax):
        yield "package or syntax changed"
    present = {message.name: message for message in new.message_type}
    for message in old.message_type:
        if message.name in present:
            yield from _broken_message(message, present[message.name])
        else:
            yield f"{message.name} is gone"


def _broken_message(old: DescriptorProto, new: DescriptorProto) -> Iterator[str]:
    numbers = {field.number: field for field in new.field}
    names = {field.name: field for field in new.field}
    for field in old.field:
        where = f"{old.name}.{field.name} = {field.number}"
        same = numbers.get(field.number)
        if same is not None:
            if same.name != field.name:
                yield f"{where}: the number is now {same.name}'s"
            elif _shape(old, field) != _shape(new, same):
                yield f"{where}: the type changed"
        elif field.name in names:
            yield f"{where}: the name has another number"
        else:
            if not _is_reserved(new, field.number):
                yield f"{where}: removed without reserving the number"
            if field.name not in new.reserved_name:
                yield f"{where}: removed without reserving the name"
    for span in old.reserved_range:
        if not all(_is_reserved(new, number) for number in range(span.start, span.end)):
            yield f"{old.name}: {span.start} to {span.end - 1} are no longer reserved"
    for name in set(old.reserved_name) - set(new.reserved_name):
        yield f"{old.name}: {name} is no longer reserved"


def _shape(message: DescriptorProto, field: FieldDescriptorProto) -> tuple[object, ...]:
    """All that a reader goes by: type, repeated or not, in which oneof, whether absence shows."""
    oneof = None
    if field.HasField("oneof_index") and not field.proto3_optional:
        oneof = message.oneof_decl[field.oneof_index].name
    return field.type, field.type_name, field.label, oneof, field.proto3_optional


def _is_reserved(message: DescriptorProto, number: int) -> bool:
    return any(span.start <= number < span.end for span in message.reserved_range)
