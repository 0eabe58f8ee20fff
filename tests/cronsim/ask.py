"""Asks cronsim. Reads questions as JSON, one a line, and writes an answer as JSON for each:

    {"pattern": "*/5 * * * *", "zone": "Europe/Berlin", "after": 1774746000.5, "count": 6, "by": "zone"}
    [1774746300, 1774746600, ...]

`by` is how cronsim is asked: "zone" lets it deal with the clock changes of the zone by itself,
"stretch" asks it about the wall clock of each stretch between two changes. An answer is null where
cronsim refuses the pattern, as it does for days that no month has.
"""

import functools
import json
import sys
import zoneinfo
from datetime import datetime, timedelta, timezone

import tzdata
from cronsim import CronSim, CronSimError

zoneinfo.reset_tzpath(to=())  # not the system's data, but those of the package

SECOND = timedelta(seconds=1)
LAST = datetime(2090, 1, 1, tzinfo=timezone.utc)


def by_zone(pattern, zone, after, count):
    found = []
    for at in CronSim(pattern, after.astimezone(zone)):
        at = at.astimezone(timezone.utc)
        # Asked in the second pass of a repeated hour it begins again with the first one.
        if at > after:
            found.append(at)
        if len(found) == count:
            break
    return found


@functools.cache
def changes(zone):
    """The instants at which the zone's offset changes."""
    found, at = [], datetime(1999, 1, 1, tzinfo=timezone.utc)

    def offset(at):
        return at.astimezone(zone).utcoffset()

    while at < LAST:
        low, high = at, at + timedelta(days=1)
        if offset(low) != offset(high):
            while high - low > SECOND:
                middle = low + timedelta(seconds=(high - low) // SECOND // 2)
                low, high = (middle, high) if offset(middle) == offset(low) else (low, middle)
            found.append(high)
        at += timedelta(days=1)
    return found


def by_stretch(pattern, zone, after, count):
    found = []
    for end in [change for change in changes(zone) if change > after] + [LAST]:
        offset = after.astimezone(zone).utcoffset()
        for wall in CronSim(pattern, after.replace(tzinfo=None) + offset):
            at = (wall - offset).replace(tzinfo=timezone.utc)
            if at >= end:
                break
            found.append(at)
            if len(found) == count:
                return found
        # The change itself belongs to the next stretch; its offset holds from there.
        after, before = end, end - SECOND
        offset = after.astimezone(zone).utcoffset()
        for wall in CronSim(pattern, before.replace(tzinfo=None) + offset):
            if wall - offset == after.replace(tzinfo=None):
                found.append(after)
            break
        if len(found) == count:
            return found
    return found


def answer(question):
    zone = zoneinfo.ZoneInfo(question["zone"])
    after = datetime.fromtimestamp(question["after"], timezone.utc)
    ask = {"zone": by_zone, "stretch": by_stretch}[question["by"]]
    try:
        return [int(at.timestamp()) for at in ask(question["pattern"], zone, after, question["count"])]
    except CronSimError:
        return None


print(tzdata.IANA_VERSION)
for line in sys.stdin:
    print(json.dumps(answer(json.loads(line))))
