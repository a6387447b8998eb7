"""What wakes somebody because of one stream."""

from alerts.expressions import (
    AVAILABLE,
    BAD_END,
    DOWN_SINCE,
    LIVE,
    NAME,
    NAMED,
    ON,
    OUT,
    REPLACED,
    ROOM_START,
    SEEN,
    SINCE,
    STATUS,
    STREAM,
    UNPUSHED,
    VIEW_LOST,
    last,
    of,
    out,
    risen,
    unreplaced,
)
from alerts.rule import Alert, Dashboard, Group, Record, Severity, span
from alerts.thresholds import Streams, Thresholds, View

_SINCE = "livestream_status_since_timestamp_seconds"
_ROOM = "vendor, source, room_id"


def group(thresholds: Thresholds) -> Group:
    """Return the rules of single streams, the recordings that others use first."""
    view, streams = thresholds.view, thresholds.streams
    return Group("livestream-streams", (*_recordings(view), *_push(view, streams), *_script(view, streams)))


def _recordings(view: View) -> tuple[Record, ...]:
    up, recovering = f'up{{job="{view.job}"}}', f'monitor_recovering{{job="{view.job}"}}'
    hold, settle = span(view.hold_seconds), span(view.settle_seconds)
    ended = f"{STREAM}, outcome"
    ended_badly = of("livestream_end_timestamp_seconds", view, 'outcome!="completed"')
    rooms = last("livestream_info", view, 'room_id!=""', by=f"{STREAM}, room_id")
    pushed = of("livestream_rtmp_state", view, 'state=~"disconnected|reconnecting"')
    return (
        # A process that recovers, one that wasn't reached, or one that is gone, be it the last: each for a
        # while after, since a stream that moves is nobody's until its new worker has it.
        Record(
            VIEW_LOST,
            f"""
            (max(max_over_time({recovering}[{settle}])) or vector(0))
              + (max(1 - min_over_time({up}[{settle}])) or vector(1))
              + (count(last_over_time({up}[{settle}])) > bool (count({up}) or vector(0)) or vector(0))
              > bool 0
            """,
        ),
        Record(STATUS, f"max by ({STREAM}, status) ({of('livestream_status', view)})"),
        # Over a stream's own recording, not over its workers' series: of two workers that had it within
        # the time, only the later one's word counts.
        Record(
            SEEN,
            f"""
            {STATUS} == 1
              or (last_over_time({STATUS}[{hold}]) == 1 and on () {VIEW_LOST} == 1)
            """,
        ),
        Record(DOWN_SINCE, f'{last(_SINCE, view)}\n  and {ON} {SEEN}{{status="down"}}'),
        Record(OUT, f"max by ({STREAM}) ({pushed})"),
        # Out of view it holds what the last look recorded: an end that had gone in full view is over, and a
        # restart soon after must not open its page again.
        Record(
            BAD_END,
            f"""
            max by ({ended}) ({ended_badly})
              or (
                max by ({ended}) (last_over_time({ended_badly}[{hold}]))
                and {BAD_END}
                and on () {VIEW_LOST} == 1
              )
            """,
        ),
        Record(
            ROOM_START,
            f"""
            {rooms}
              * {ON} group_left ()
              {last("livestream_start_timestamp_seconds", view)}
            """,
        ),
        # A worker that has both jobs of a room drops the series of the one that ended; where each is another
        # worker's, they meet only here.
        Record(
            REPLACED,
            f"""
            max by ({STREAM}) ({BAD_END})
              and {ON} (
                {rooms}
                  * {ON} group_left ()
                  {last("livestream_well_until_timestamp_seconds", view)}
                < on ({_ROOM}) group_left ()
                max by ({_ROOM}) ({ROOM_START} and {ON} {SEEN}{{status="healthy"}})
              )
            """,
        ),
        Record(
            AVAILABLE,
            f"""
            max by ({STREAM}) ({SEEN}{{status=~"healthy|degraded"}})
              or max by ({STREAM}) ({SEEN}{{status=~"down|silent"}}) * 0
            """,
        ),
        Record(
            UNPUSHED,
            f"""
            {last("livestream_vendor_duration_seconds", view)}
              - {last("livestream_vendor_push_seconds", view)}
            """,
        ),
    )


def _push(view: View, streams: Streams) -> tuple[Alert, ...]:
    since, handover = last(_SINCE, view), span(streams.handover_seconds)
    pushed = last("livestream_vendor_push_seconds", view)
    flapping, unpushed = span(streams.flapping_window_seconds), span(streams.unpushed_window_seconds)
    return (
        Alert(
            "LivestreamDown",
            Severity.CRITICAL,
            Dashboard.STREAM,
            # The status has waited down_after_seconds already, so nothing here waits. When the vendor
            # gives the stream up, this page is closed only after the next one is open, and still tells when
            # it was down: the status of an ended stream began with its end.
            f"""
            {DOWN_SINCE}
              or last_over_time({DOWN_SINCE}[{handover}])
                and {ON} ({BAD_END} > time() - {streams.handover_seconds})
            """,
            f"{NAME} is down",
            # The status begins later than the outage, and the vendor counts from there.
            f"The RTMP push of {NAMED} has been gone for too long; down since {SINCE}, lost "
            "down_after_seconds (60 s by default) before that. Viewers see nothing. MetaStudio ends a job "
            "about three minutes after its push is lost: refresh the output address, or start the job again.",
        ),
        Alert(
            "LivestreamEndedAbnormally",
            Severity.CRITICAL,
            Dashboard.STREAM,
            unreplaced(streams),
            f"{NAME} ended: {{{{ $labels.outcome }}}}",
            f"{NAMED} ended at {SINCE}, and not as it should: {{{{ $labels.outcome }}}}. Start a new job in "
            "its room; the page closes once that one is healthy. Where no room is known, silence the page.",
        ),
        Alert(
            "LivestreamSilent",
            Severity.CRITICAL,
            Dashboard.STREAM,
            f'{since}\n  and {ON} {SEEN}{{status="silent"}}',
            f"{NAME} says nothing any more",
            f"Nothing has been heard of {NAMED} on any channel, although its script tells something "
            f"regularly; silent since {SINCE}. Look at the live room itself, then at its job.",
            # A service that was away for long has heard nothing of any stream when it comes back.
            seconds=streams.silent_for_seconds,
        ),
        Alert(
            "LivestreamFlapping",
            Severity.WARNING,
            Dashboard.STREAM,
            f"{risen('livestream_reconnects_total', view, streams.flapping_window_seconds)}\n"
            f"  >= {streams.flapping_reconnects}\n  and {ON} {LIVE}",
            f"{NAME} keeps reconnecting",
            f"The RTMP push of {NAMED} has reconnected {{{{ $value }}}} times within {flapping}. Viewers see "
            "it stutter: look at the way to the CDN.",
        ),
        Alert(
            "LivestreamStuckConnecting",
            Severity.WARNING,
            Dashboard.STREAM,
            f'{since}\n  < time() - {streams.connecting_seconds}\n  and {ON} {SEEN}{{status="starting"}}',
            f"{NAME} doesn't start",
            f"{NAMED} has been starting since {SINCE} and hasn't connected since then. Check the output "
            "address and its stream key.",
        ),
        Alert(
            "LivestreamRunningWithoutPush",
            Severity.CRITICAL,
            Dashboard.STREAM,
            # The vendor may fill the pushed time in at the end: of a stream that has started, 0 says nothing.
            f"{UNPUSHED} - min_over_time({UNPUSHED}[{unpushed}])\n"
            f"  > {streams.unpushed_seconds}\n  and {ON} {LIVE}\n"
            f'  unless {ON} ({pushed} == 0 and {ON} {SEEN}{{status!="starting"}})',
            f"{NAME} runs without being pushed",
            f"The vendor counts {NAMED} as running, and for {{{{ $value | humanizeDuration }}}} of the last "
            f"{unpushed} it pushed nothing. Viewers see nothing, and the time is paid for.",
        ),
    )


def _script(view: View, streams: Streams) -> tuple[Alert, ...]:
    remaining = last("livestream_script_remaining_seconds", view)
    return (
        Alert(
            "LivestreamScriptStalled",
            Severity.WARNING,
            Dashboard.STREAM,
            # Degraded: the service knows of a script that is over, and doesn't count that as a stall. Where
            # something else degrades the stream, such a script has nothing left to play.
            f"{last('livestream_script_progress_timestamp_seconds', view)}\n"
            f"  < time() - {last('livestream_script_stall_after_seconds', view)}\n"
            f'  and {ON} {SEEN}{{status="degraded"}}\n'
            f"  unless {ON} {out(view)} == 1\n"
            f"  unless {ON} {remaining} == 0",
            f"The script of {NAME} stands still",
            f"The script of {NAMED} last moved at {SINCE}, longer ago than its paragraphs take. The picture "
            "may be live and the presenter mute: look at the live room.",
            seconds=streams.stalled_for_seconds,
        ),
        Alert(
            "LivestreamScriptCoverageLow",
            Severity.WARNING,
            Dashboard.STREAM,
            f"{last('livestream_script_round_coverage_ratio', view)}\n"
            f"  < {streams.coverage_ratio}\n  and {ON} {LIVE}",
            f"{NAME} leaves out parts of its script",
            f"The last finished round of {NAMED} played {{{{ $value | humanizePercentage }}}} of the planned "
            "paragraphs. Its page names those that were skipped.",
        ),
        Alert(
            "LivestreamScriptRunningOut",
            Severity.WARNING,
            Dashboard.STREAM,
            # Not if the stream is to end before its script does.
            f"{remaining}\n  < {streams.remaining_seconds}\n"
            f'  and {ON} {SEEN}{{status=~"healthy|degraded"}}\n'
            f"  unless {ON} ({last('livestream_expected_end_timestamp_seconds', view)} - time())\n"
            f"    <= {remaining}",
            f"The script of {NAME} is {{{{ if ge $value 1.0 }}}}nearly {{{{ end }}}}over",
            f"The script of {NAMED} {{{{ if ge $value 1.0 }}}}lasts about "
            "{{ $value | humanizeDuration }} more, and is not repeated. Then the presenter has{{ else }}"
            "should be over by now, and is not repeated. The presenter has{{ end }} nothing to say: extend "
            "the script, or stop the job.",
        ),
        Alert(
            "LivestreamLiveWarning",
            Severity.INFO,
            Dashboard.STREAM,
            f"{last('livestream_live_warning', view, by=f'{STREAM}, warning_type')}\n"
            f"  == 1\n  and {ON} {LIVE}",
            f"The vendor warns of {NAME}: {{{{ $labels.warning_type }}}}",
            f"The vendor gave the warning {{{{ $labels.warning_type }}}} for {NAMED}. It is advice on how "
            "the room is set up, and no failure.",
        ),
    )
