"""Block Kit's rules for messages, strict where Slack is (docs.slack.dev, reference of blocks and objects)."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

MAX_BLOCKS = 50
MAX_ID = 255


def problem(blocks: list[Any]) -> str | None:
    """What Slack would object to, or None."""
    if len(blocks) > MAX_BLOCKS:
        return f"{len(blocks)} blocks, {MAX_BLOCKS} are allowed"
    for number, block in enumerate(blocks):
        found = _block_problem(block)
        if found:
            return f"blocks[{number}]: {found}"
    return _repeated(blocks)


def _block_problem(block: Any) -> str | None:
    if not isinstance(block, Mapping):
        return "is not an object"
    rule = _RULES.get(str(block.get("type")))
    return f"unknown type {block.get('type')!r}" if rule is None else rule(block)


def _text_problem(value: Any, *, most: int, plain: bool = False) -> str | None:
    """A text object's own rules; ``plain`` forbids mrkdwn."""
    if not isinstance(value, Mapping):
        return "a text object is expected"
    kind, text = value.get("type"), value.get("text")
    if kind != "plain_text" and (plain or kind != "mrkdwn"):
        return f"text of type {kind!r} is not allowed here"
    if not isinstance(text, str) or not 1 <= len(text) <= most:
        return f"text must have 1 to {most} characters"
    return None


def _header(block: Mapping[str, Any]) -> str | None:
    return _text_problem(block.get("text"), most=150, plain=True)


def _section(block: Mapping[str, Any]) -> str | None:
    text, fields = block.get("text"), block.get("fields")
    if text is None and not fields:
        return "a section needs text or fields"
    if text is not None and (found := _text_problem(text, most=3000)):
        return found
    if fields is not None and (found := _list_problem(fields, most=10)):
        return found
    problems = [_text_problem(each, most=2000) for each in fields or ()]
    accessory = block.get("accessory")
    return _first([*problems, None if accessory is None else _element_problem(accessory)])


def _context(block: Mapping[str, Any]) -> str | None:
    elements = block.get("elements")
    if found := _list_problem(elements, most=10):
        return found
    return _first(
        _image(each)
        if isinstance(each, Mapping) and each.get("type") == "image"
        else _text_problem(each, most=2000)
        for each in elements or ()
    )


def _actions(block: Mapping[str, Any]) -> str | None:
    elements = block.get("elements")
    return _list_problem(elements, most=25) or _first(_element_problem(each) for each in elements or ())


def _divider(_block: Mapping[str, Any]) -> str | None:
    return None


def _image(block: Mapping[str, Any]) -> str | None:
    has_all = isinstance(block.get("image_url"), str) and isinstance(block.get("alt_text"), str)
    return None if has_all else "an image needs image_url and alt_text"


_RULES: Mapping[str, Callable[[Mapping[str, Any]], str | None]] = {
    "header": _header,
    "section": _section,
    "context": _context,
    "actions": _actions,
    "divider": _divider,
    "image": _image,
}


def _element_problem(element: Any) -> str | None:
    if not isinstance(element, Mapping):
        return "an element must be an object"
    if element.get("type") == "image":
        return _image(element)
    if element.get("type") != "button":
        return f"unknown element {element.get('type')!r}"
    return _button_problem(element)


def _button_problem(button: Mapping[str, Any]) -> str | None:
    lengths = (("value", 2000), ("url", 3000), ("action_id", MAX_ID))
    for name, most in lengths:
        value = button.get(name)
        if value is not None and (not isinstance(value, str) or not 1 <= len(value) <= most):
            return f"{name} must have 1 to {most} characters"
    if button.get("style") not in (None, "primary", "danger"):
        return f"unknown style {button.get('style')!r}"
    confirm = button.get("confirm")
    return _text_problem(button.get("text"), most=75, plain=True) or (
        None if confirm is None else _confirm_problem(confirm)
    )


def _confirm_problem(confirm: Any) -> str | None:
    if not isinstance(confirm, Mapping):
        return "confirm must be an object"
    return _first(
        (
            _text_problem(confirm.get("title"), most=100, plain=True),
            _text_problem(confirm.get("text"), most=300),
            _text_problem(confirm.get("confirm"), most=30, plain=True),
            _text_problem(confirm.get("deny"), most=30, plain=True),
        )
    )


def _list_problem(value: Any, *, most: int) -> str | None:
    if not isinstance(value, list) or not 1 <= len(value) <= most:
        return f"an array of 1 to {most} is expected"
    return None


def _repeated(blocks: list[Any]) -> str | None:
    """Ids name a block or an element inside the message: each at most once."""
    block_ids = [block["block_id"] for block in blocks if "block_id" in block]
    action_ids = [each["action_id"] for each in _elements(blocks) if "action_id" in each]
    for name, ids in (("block_id", block_ids), ("action_id", action_ids)):
        if any(not isinstance(each, str) or not 1 <= len(each) <= MAX_ID for each in ids):
            return f"{name} must have 1 to {MAX_ID} characters"
        if len(set(ids)) != len(ids):
            return f"{name} is used twice"
    return None


def _elements(blocks: list[Any]) -> Iterable[Mapping[str, Any]]:
    for block in blocks:
        if block["type"] == "actions":
            yield from block["elements"]
        if isinstance(block.get("accessory"), Mapping):
            yield block["accessory"]


def _first(problems: Iterable[str | None]) -> str | None:
    return next((each for each in problems if each), None)
