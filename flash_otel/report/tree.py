"""The shape of a trace: records into a forest of nodes, and the forest into folded rows.

Records may come in any order, twice, without their parents, or (from a damaged file) in a circle;
every one of them is shown exactly once. Nothing here recurses: a trace may be deeper than the
interpreter's stack.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from flash_otel import semconv
from flash_otel.report import words

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from flash_otel.records import SpanRecord

REPEATS: Final = 3  # siblings of one name and outcome that are shown one by one
LONG: Final = 8  # spans of a healthy subtree that are shown one by one

# The ids and the number that a person compares between spans, in the order of their rank.
KEYS: Final = (semconv.ENVIRONMENT_ID, semconv.BUILD_ID, semconv.ENDPOINT_COUNT)

Key = tuple[str, str]
Likeness = tuple[str, ...]


@dataclass(slots=True, eq=False)  # two nodes are never equal: a circle would compare forever
class Node:
    """One span and what happened inside it.

    Attributes:
        record: The span.
        children: In order of their start.
        parent: The node that this one is a child of, None for a root.
        orphan: The span names a parent that is not among the records.
        size: Number of spans of this subtree, itself included.
        healthy: Every span of this subtree returned.
        captured: Some span of this subtree holds an answer, which somebody has asked to see.
    """

    record: SpanRecord
    children: list[Node] = field(default_factory=list)
    parent: Node | None = None
    orphan: bool = False
    size: int = 1
    healthy: bool = True
    captured: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a rendered tree.

    Attributes:
        nodes: The span of this line, or all the siblings that are folded into it.
        lasts: For each level from the root down: is this branch the last of its siblings?
        hidden: Number of spans that are folded away beneath this line.
        more: The line stands for further siblings of lines above it.
        opened: Lines of this span's children follow.
    """

    nodes: tuple[Node, ...]
    lasts: tuple[bool, ...]
    hidden: int = 0
    more: bool = False
    opened: bool = False

    @property
    def node(self) -> Node:
        """The first of the row's spans."""
        return self.nodes[0]


def build_forest(records: Iterable[SpanRecord]) -> list[Node]:
    """Return the roots of `records`, earliest first, with their subtrees beneath them."""
    nodes = {record.key: Node(record) for record in unique(records)}
    roots = [node for node in nodes.values() if not _adopt(node, nodes)]
    roots += _break_circles(nodes, roots)
    for node in nodes.values():
        node.children.sort(key=_order)
    roots.sort(key=_order)
    _weigh(roots)
    return roots


def unique(records: Iterable[SpanRecord]) -> list[SpanRecord]:
    """Return each span once; its finished record where there is one."""
    known: dict[Key, SpanRecord] = {}
    for record in records:
        seen = known.get(record.key)
        if seen is None or (seen.end_ns is None and record.end_ns is not None):
            known[record.key] = record
    return list(known.values())


def _adopt(node: Node, nodes: dict[Key, Node]) -> bool:
    parent_id = node.record.parent_span_id
    if parent_id is None:
        return False
    parent = nodes.get((node.record.trace_id, parent_id))
    if parent is None:
        node.orphan = True
        return False
    parent.children.append(node)
    node.parent = parent
    return True


def _break_circles(nodes: dict[Key, Node], roots: Sequence[Node]) -> list[Node]:
    """Return one root for each circle of parents, cut loose from its own parent."""
    reached = {node.record.key for node in walk(roots)}
    broken = []
    for node in sorted(nodes.values(), key=_order):
        if node.record.key in reached:
            continue
        if node.parent is not None:
            node.parent.children.remove(node)
        node.parent, node.orphan = None, True
        broken.append(node)
        reached |= {inner.record.key for inner in walk([node])}
    return broken


def walk(forest: Sequence[Node]) -> Iterator[Node]:
    """Yield every node of a forest, parents before their children."""
    waiting = list(reversed(forest))
    while waiting:
        node = waiting.pop()
        yield node
        waiting.extend(reversed(node.children))


def _order(node: Node) -> tuple[int, str]:
    return (node.record.start_ns, node.record.span_id)


def _weigh(roots: Sequence[Node]) -> None:
    for node in reversed(list(walk(roots))):
        node.size = 1 + sum(child.size for child in node.children)
        healthy = words.outcome(node.record) == semconv.RETURNED
        node.healthy = healthy and all(child.healthy for child in node.children)
        own = semconv.GRAPHQL_ANSWER in node.record.attributes
        node.captured = own or any(child.captured for child in node.children)


def culprit(forest: Sequence[Node]) -> Node | None:
    """Return the innermost failed span that is a cause, the earliest of several.

    Neither its parents nor its cancelled siblings are the cause. Where only cancelled, unknown or
    unfinished spans are left, the innermost of those is returned; None in a healthy forest.
    """
    unsound = [node for node in walk(forest) if words.outcome(node.record) != semconv.RETURNED]
    failed = [node for node in unsound if words.outcome(node.record) == semconv.FAILED]
    return min(_innermost(forest, failed or unsound), key=_ended, default=None)


def _innermost(forest: Sequence[Node], nodes: Sequence[Node]) -> list[Node]:
    """Return those of `nodes` that hold no other one of them."""
    members = {node.record.key for node in nodes}
    holding: set[Key] = set()
    for node in reversed(list(walk(forest))):
        keys = {child.record.key for child in node.children}
        if keys & members or keys & holding:
            holding.add(node.record.key)
    return [node for node in nodes if node.record.key not in holding]


def _ended(node: Node) -> tuple[bool, int, str]:
    end = node.record.end_ns
    return (end is None, node.record.start_ns if end is None else end, node.record.span_id)


def rows(forest: Sequence[Node]) -> Iterator[Row]:
    """Yield the lines of a forest: failures open, repeats and long healthy branches folded."""
    waiting = list(reversed(_fold(forest, ())))
    while waiting:
        row = waiting.pop()
        yield row
        if row.opened:
            waiting.extend(reversed(_fold(row.node.children, row.lasts)))


def _fold(siblings: Sequence[Node], above: tuple[bool, ...]) -> list[Row]:
    groups = list(_groups(siblings))
    lines = []
    for index, (nodes, more) in enumerate(groups):
        lasts = (*above, index == len(groups) - 1)
        lines.append(_row(nodes, lasts, more=more))
    return lines


def _row(nodes: tuple[Node, ...], lasts: tuple[bool, ...], *, more: bool) -> Row:
    inside = sum(node.size - 1 for node in nodes)
    top_level = len(lasts) == 1
    long = inside > LONG and nodes[0].healthy and not (top_level or nodes[0].captured)
    if inside and (len(nodes) > 1 or more or long):
        return Row(nodes, lasts, hidden=inside, more=more)
    return Row(nodes, lasts, more=more, opened=bool(inside))


def _groups(siblings: Sequence[Node]) -> Iterator[tuple[tuple[Node, ...], bool]]:
    """Yield what becomes one line each, and whether it stands for further ones of lines above."""
    alike: dict[Likeness, list[Node]] = {}
    for node in siblings:
        alike.setdefault(_likeness(node), []).append(node)
    shown: Counter[Likeness] = Counter()
    for node in siblings:
        likeness = _likeness(node)
        group, position = alike[likeness], shown[likeness]
        shown[likeness] += 1
        every = len(group) <= REPEATS or group[0].captured
        one_by_one = len(group) if every else 0 if node.healthy else REPEATS
        if position < one_by_one:
            yield (node,), False
        elif position == one_by_one:
            yield tuple(group[position:]), position > 0


def _likeness(node: Node) -> Likeness:
    """Return what siblings must share to be folded: a read of another build is never hidden."""
    record = node.record
    shown = (str(record.attributes.get(key)) for key in KEYS)
    reason = "" if node.healthy else words.cause(record)
    return (record.name, words.outcome(record), str(node.healthy), reason, *shown)
