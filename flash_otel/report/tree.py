"""The shape of a trace: records into a forest of nodes, and the forest into folded rows.

Records may come in any order, twice, without their parents, or (from a damaged file) in a circle;
each is shown exactly once. Nothing here recurses, because a trace may be deeper than the
interpreter's stack.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from flash_otel import semconv
from flash_otel.diagnosis.facts import origin
from flash_otel.records import text
from flash_otel.report import words

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from flash_otel.diagnosis.evidence import Origin
    from flash_otel.records import SpanRecord

MOST_REPEATS: Final = 3  # similar siblings that get a row each
MOST_HEALTHY: Final = 8  # spans of a healthy branch that get a row each

# The attributes that people compare between spans, in their order of rank.
KEYS: Final = (semconv.ENVIRONMENT_ID, semconv.BUILD_ID, semconv.ENDPOINT_COUNT)

SpanKey = tuple[str, str]
Likeness = tuple[str, ...]


@dataclass(slots=True, eq=False)  # equality would recurse forever in a circle of parents
class Node:
    """A span and its children.

    Attributes:
        record: The span.
        children: In order of their start.
        parent: The node of the parent span; None for a root.
        is_orphan: Whether the span names a parent that is not among the records.
        size: Number of spans in this subtree, itself included.
        is_healthy: Whether every span of this subtree returned, and none is marked.
        is_marked: Whether it must be seen, though it may have returned.
    """

    record: SpanRecord
    children: list[Node] = field(default_factory=list)
    parent: Node | None = None
    is_orphan: bool = False
    size: int = 1
    is_healthy: bool = True
    is_marked: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a rendered tree.

    Attributes:
        nodes: The span of this line, or all the siblings that are folded into it.
        lasts: For each level from the root down, whether the branch is the last of its siblings.
        hidden: Number of spans that are folded away beneath this line.
        is_rest: Whether the line stands for further siblings of the lines above it.
        is_open: Whether lines of this span's children follow.
    """

    nodes: tuple[Node, ...]
    lasts: tuple[bool, ...]
    hidden: int = 0
    is_rest: bool = False
    is_open: bool = False

    @property
    def node(self) -> Node:
        """The first of the row's spans."""
        return self.nodes[0]


def build_forest(
    records: Iterable[SpanRecord],
    marked: Collection[SpanKey] = frozenset(),
    main: str | None = None,
) -> list[Node]:
    """Return the roots of records, earliest first, with their subtrees beneath them.

    Args:
        records: The spans.
        marked: The spans that are never folded, like those that failed.
        main: The trace whose root stays one, though it may be that of a job with a known call.
    """
    nodes = {
        record.key: Node(record, is_marked=record.key in marked) for record in _unique(records)
    }
    calls = _calls(nodes.values())
    roots = [
        node
        for node in nodes.values()
        if not _attach(node, nodes, {} if node.record.trace_id == main else calls)
    ]
    roots += _break_circles(nodes, roots)
    for node in nodes.values():
        node.children.sort(key=_order)
    roots.sort(key=_order)
    _summarize(roots)
    return roots


def split(forest: Sequence[Node], trace_id: str) -> tuple[list[Node], list[Node]]:
    """Return the roots that belong to a trace, and the others."""
    own = [root for root in forest if root.record.trace_id == trace_id]
    return own, [root for root in forest if root.record.trace_id != trace_id]


def _unique(records: Iterable[SpanRecord]) -> list[SpanRecord]:
    """Return each span once: its finished record if there is one."""
    known: dict[SpanKey, SpanRecord] = {}
    for record in records:
        seen = known.get(record.key)
        if seen is None or (seen.end_ns is None and record.end_ns is not None):
            known[record.key] = record
    return list(known.values())


def _calls(nodes: Iterable[Node]) -> dict[str, Node]:
    """Return the calls of queue-based endpoints by the ids of their jobs."""
    found: dict[str, Node] = {}
    for node in nodes:
        job = _job_of(node, semconv.CALL)
        if job is not None:
            found.setdefault(job, node)
    return found


def _job_of(node: Node, name: str | None = None) -> str | None:
    record = node.record
    is_side = record.name == name if name else record.kind == "consumer"
    return text(record.attributes, semconv.FAAS_INVOCATION_ID) if is_side else None


def _attach(node: Node, nodes: dict[SpanKey, Node], calls: dict[str, Node]) -> bool:
    """Attach a node to its parent, or a job to its call; return False if it is a root."""
    parent_id = node.record.parent_span_id
    if parent_id is None:
        # No header reaches the worker of a queue: its job is in a trace of its own.
        parent = calls.get(_job_of(node) or "")
    else:
        parent = nodes.get((node.record.trace_id, parent_id))
        node.is_orphan = parent is None
    if parent is None:
        return False
    parent.children.append(node)
    node.parent = parent
    return True


def _break_circles(nodes: dict[SpanKey, Node], roots: Sequence[Node]) -> list[Node]:
    """Return one root for each circle of parents, detached from its own parent."""
    reached = {node.record.key for node in walk(roots)}
    broken = []
    for node in sorted(nodes.values(), key=_order):
        if node.record.key in reached:
            continue
        if node.parent is not None:
            node.parent.children.remove(node)
        node.parent, node.is_orphan = None, True
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


def _order(node: Node) -> tuple[int, Origin]:
    # Spans that were rebuilt from lines without times keep the order of their file.
    return (node.record.start_ns, origin(node.record))


def _summarize(roots: Sequence[Node]) -> None:
    """Compute each node's summary of its subtree, children before their parents."""
    for node in reversed(list(walk(roots))):
        node.size = 1 + sum(child.size for child in node.children)
        is_sound = words.outcome(node.record) == semconv.RETURNED and not node.is_marked
        node.is_healthy = is_sound and all(child.is_healthy for child in node.children)


def root_cause(forest: Sequence[Node]) -> Node | None:
    """Return the innermost failed span, the earliest of several; None in a healthy forest.

    Its parents and its cancelled siblings are consequences. If nothing failed, the innermost
    cancelled, unknown or unfinished span is returned. (`diagnosis.deployments.failed_step`
    judges the steps of a deployment, of which spans may be missing; this explains any tree.)
    """
    unsound = [node for node in walk(forest) if words.outcome(node.record) != semconv.RETURNED]
    failed = [node for node in unsound if words.outcome(node.record) == semconv.FAILED]
    return min(_innermost(forest, failed or unsound), key=_end_order, default=None)


def _innermost(forest: Sequence[Node], nodes: Sequence[Node]) -> list[Node]:
    """Return the nodes whose subtree holds no other of the nodes."""
    members = {node.record.key for node in nodes}
    holding: set[SpanKey] = set()
    for node in reversed(list(walk(forest))):
        keys = {child.record.key for child in node.children}
        if keys & members or keys & holding:
            holding.add(node.record.key)
    return [node for node in nodes if node.record.key not in holding]


def _end_order(node: Node) -> tuple[bool, int, str]:
    end = node.record.end_ns
    return (end is None, node.record.start_ns if end is None else end, node.record.span_id)


def rows(forest: Sequence[Node]) -> Iterator[Row]:
    """Yield the lines of a forest: failures open, repeats and long healthy branches folded."""
    waiting = list(reversed(_fold(forest, ())))
    while waiting:
        row = waiting.pop()
        yield row
        if row.is_open:
            waiting.extend(reversed(_fold(row.node.children, row.lasts)))


def _fold(siblings: Sequence[Node], above: tuple[bool, ...]) -> list[Row]:
    groups = list(_groups(siblings))
    return [
        _row(nodes, (*above, index == len(groups) - 1), is_rest=is_rest)
        for index, (nodes, is_rest) in enumerate(groups)
    ]


def _row(nodes: tuple[Node, ...], lasts: tuple[bool, ...], *, is_rest: bool) -> Row:
    inside = sum(node.size - 1 for node in nodes)
    is_top_level = len(lasts) == 1
    is_foldable = nodes[0].is_healthy and not is_top_level
    is_long = inside > MOST_HEALTHY and is_foldable
    if inside and (len(nodes) > 1 or is_rest or is_long):
        return Row(nodes, lasts, hidden=inside, is_rest=is_rest)
    return Row(nodes, lasts, is_rest=is_rest, is_open=bool(inside))


def _groups(siblings: Sequence[Node]) -> Iterator[tuple[tuple[Node, ...], bool]]:
    """Yield the nodes of each row, and whether they are the rest of the rows above."""
    alike: dict[Likeness, list[Node]] = {}
    for node in siblings:
        alike.setdefault(_likeness(node), []).append(node)
    shown: Counter[Likeness] = Counter()
    for node in siblings:
        likeness = _likeness(node)
        group, position = alike[likeness], shown[likeness]
        shown[likeness] += 1
        # Healthy repeats are folded as a whole; of equal failures, the first ones stay open.
        is_small = len(group) <= MOST_REPEATS or node.is_marked
        separate = len(group) if is_small else 0 if node.is_healthy else MOST_REPEATS
        if position < separate:
            yield (node,), False
        elif position == separate:
            yield tuple(group[position:]), position > 0


def _likeness(node: Node) -> Likeness:
    """Return what siblings must share to be folded; a read of another build is never hidden."""
    record = node.record
    shown = (str(record.attributes.get(key)) for key in KEYS)
    reason = "" if node.is_healthy else words.cause(record)
    states = (words.outcome(record), str(node.is_healthy), str(node.is_marked))
    return (record.name, *states, reason, *shown)
