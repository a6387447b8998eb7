"""The variables of the dashboards, each depending on those before it."""

from dashboards.assembly import Variable
from dashboards.selectors import FLEET, PROCESSES
from dashboards.selectors import STREAM as CHOSEN

PROCESS = (
    Variable("job", "Job", "label_values(monitor_build_info, job)"),
    Variable("instance", "Instance", 'label_values(monitor_build_info{job=~"$job"}, instance)'),
)
"""Which processes of the service."""

SOURCE = (
    *PROCESS,
    Variable("vendor", "Vendor", f"label_values(monitor_streams{{{PROCESSES}}}, vendor)"),
    Variable("source", "Source", f'label_values(monitor_streams{{{PROCESSES}, vendor=~"$vendor"}}, source)'),
)
"""Which sources of these."""

STREAM = (
    *SOURCE,
    Variable("stream", "Stream", f"label_values(livestream_info{{{FLEET}}}, job_id)", several=False),
    Variable(
        "room",
        "Room",
        f"label_values(livestream_info{{{CHOSEN}}}, room_id)",
        several=False,
        hidden=True,
    ),
)
"""Which stream of these, and the room that it plays in."""
