"""Reads a timeline with Perfetto's published protocol buffers: `python timeline.py TRACE [SAID]`.

A pass says that every slice begins and ends on a described track, that arrows have both ends, and that the
picoseconds of each GPU add up to the same makespan; and, where SAID is what `moesim timeline` printed, that the
integral of each counter of link use is the bytes it says. Exact totals by reason are tests/timeline.rs's.
"""

import collections
import sys

from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import Trace, TrackEvent

trace = Trace()
with open(sys.argv[1], "rb") as file:
    trace.ParseFromString(file.read())

tracks, processes = {}, {}
open_slices = collections.defaultdict(list)
spent = collections.defaultdict(lambda: collections.defaultdict(int))
flows, counted = collections.defaultdict(list), 0
rates, moved = {}, collections.defaultdict(float)
for packet in trace.packet:
    if packet.HasField("track_descriptor"):
        described = packet.track_descriptor
        tracks[described.uuid] = described
        if described.HasField("process"):
            processes[described.uuid] = described.process.process_name
    if not packet.HasField("track_event"):
        continue
    event = packet.track_event
    assert event.track_uuid in tracks, f"an event on the unknown track {event.track_uuid}"
    if event.type == TrackEvent.TYPE_SLICE_BEGIN:
        gpu = processes[tracks[event.track_uuid].parent_uuid]
        (note,) = event.debug_annotations
        assert note.name == "picoseconds"
        open_slices[event.track_uuid].append((packet.timestamp, note.uint_value))
        # What streams have in flight runs beside what the GPU's time is blamed on.
        if not tracks[event.track_uuid].thread.thread_name.endswith(" stream"):
            spent[gpu][event.name] += note.uint_value
        for flow in event.flow_ids:
            flows[flow].append("from")
        for flow in event.terminating_flow_ids:
            flows[flow].append("to")
    elif event.type == TrackEvent.TYPE_SLICE_END:
        begun, ps = open_slices[event.track_uuid].pop()
        assert abs((packet.timestamp - begun) * 1000 - ps) < 2000, "a slice is not as long as it says"
    elif event.type == TrackEvent.TYPE_COUNTER:
        counted += 1
        if event.HasField("double_counter_value"):
            name = tracks[event.track_uuid].name.split(" links, ")[0]
            since, rate = rates.get(name, (packet.timestamp, 0.0))
            moved[name] += rate * (packet.timestamp - since)
            rates[name] = packet.timestamp, event.double_counter_value

assert not any(open_slices.values()), "a slice was left open"
assert all(sorted(both) == ["from", "to"] for both in flows.values()), "an arrow without an end"
totals = {gpu: sum(by_name.values()) for gpu, by_name in spent.items()}
assert len(set(totals.values())) == 1, f"GPUs end at different times: {totals}"
assert counted > 0 and flows, "no counter or no arrow"
assert moved and all(rate == 0.0 for _, rate in rates.values()), "links that never come to rest"
if len(sys.argv) > 2:
    with open(sys.argv[2]) as file:
        words = [line.split() for line in file if line.startswith("bytes over ")]
    said = {line[2]: int(line[-1]) for line in words}
    assert said.keys() == moved.keys(), f"{said} are not {dict(moved)}"
    wrong = {name: (said[name], moved[name]) for name in said if abs(moved[name] - said[name]) > 1e-9 * said[name]}
    assert not wrong, f"integrals are not the bytes moved: {wrong}"
print(f"{len(trace.packet)} packets, {len(totals)} GPUs, {len(flows)} arrows: totals equal the makespan")
