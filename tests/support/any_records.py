"""Hypothesis strategies for records with any content that a span can have."""

from __future__ import annotations

from hypothesis import strategies as st

from flash_otel.records import KINDS, STATUSES, Event, Link, SpanRecord

INT64 = st.integers(-(2**63), 2**63 - 1)
NANOS = st.integers(0, 2**63 - 1)
# Text that UTF-8 can encode; lone surrogates have tests of their own.
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
SCALARS = TEXT | st.booleans() | INT64 | st.floats(allow_nan=False, allow_infinity=False)
VALUES = SCALARS | st.one_of(
    *(
        st.lists(items, max_size=3).map(tuple)
        for items in (TEXT, st.booleans(), INT64, st.floats(allow_nan=False, allow_infinity=False))
    )
)
ATTRIBUTES = st.dictionaries(TEXT.filter(bool), VALUES, max_size=4)


def ids(size: int) -> st.SearchStrategy[str]:
    """Return a strategy of valid ids of `size` bytes, in hex."""
    return st.binary(min_size=size, max_size=size).filter(any).map(bytes.hex)


EVENTS = st.builds(Event, TEXT, NANOS, ATTRIBUTES)
LINKS = st.builds(Link, ids(16), ids(8), ATTRIBUTES)
RECORDS = st.builds(
    SpanRecord,
    trace_id=ids(16),
    span_id=ids(8),
    parent_span_id=st.none() | ids(8),
    name=TEXT,
    kind=st.sampled_from(KINDS),
    start_ns=NANOS,
    end_ns=st.none() | st.integers(1, 2**63 - 1),
    status=st.sampled_from(STATUSES),
    status_message=TEXT,
    attributes=ATTRIBUTES,
    events=st.lists(EVENTS, max_size=2).map(tuple),
    links=st.lists(LINKS, max_size=2).map(tuple),
    resource=ATTRIBUTES,
    scope_name=st.sampled_from(["flash_otel", "", "other"]),
    scope_version=TEXT,
    trace_state=TEXT,
    sampled=st.booleans(),
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
