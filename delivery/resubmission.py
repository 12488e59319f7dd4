"""What happens with an upload that is known already and is submitted again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from ..domain.errors import StoreError
from ..domain.upload.status import UploadStatus
from ..domain.upload.upload import UploadKey
from .active import ActiveUpload, ActiveUploads, gone_error
from .applying import stored
from .destinations import Destination
from .effects import Read, Turn, perform
from .postponed import Waiter
from .stopped import hold_invalid, readmit, resume


def adopt(
    uploads: ActiveUploads,
    now: datetime,
    wanted: Sequence[tuple[UploadKey, Destination, Waiter]],
    *,
    leaves: bool = False,
) -> Turn[bool]:
    """Have those who submitted known uploads again wait for them with this courier, or hear how
    they ended; whether the store could be asked. If this courier `leaves` its uploads to others,
    what goes on does not become active."""
    try:
        found = yield from stored([key for key, _, _ in wanted])
        known = {
            key: ActiveUpload(
                found[key].upload,
                found[key].dossier,
                uploads.began_with(found[key].upload) or destination,
            )
            for key, destination, _ in wanted
            if key in found
        }
        idle = [one for key, one in known.items() if uploads.get(key) is None]
        yield from resume(idle, now)
        for each in idle:
            if (yield from hold_invalid(each, now)):
                uploads.tell_end(each.upload, each.status())
        ended = [key for key, one in known.items() if one.upload.at_rest]
        statuses = yield from _statuses_of(ended, now)
    except StoreError as error:
        for _, _, waiter in wanted:
            waiter.mark_lost(error)
        return False
    for key, _, waiter in wanted:
        one = known.get(key)
        if one is not None:
            yield from readmit(one, now)
        active = uploads.get(key)
        if active is not None:
            active.waiters.append(waiter)
        elif one is None or one.gone:
            waiter.mark_lost(gone_error(key))
        elif one.upload.status.at_rest:
            waiter.mark_settled(statuses.get(key) or one.status())
        elif not leaves:
            one.waiters.append(waiter)
            uploads.add(one)
    return True


def _statuses_of(
    keys: Sequence[UploadKey], now: datetime
) -> Turn[Mapping[UploadKey, UploadStatus | None]]:
    statuses: dict[UploadKey, UploadStatus | None] = {}
    for tenant_id in {key.tenant_id for key in keys}:
        mine = [key for key in keys if key.tenant_id == tenant_id]
        found = yield from _read_statuses(tenant_id, [key.evidence_id for key in mine], now)
        statuses |= {key: found.get(key.evidence_id) for key in mine}
    return statuses


def _read_statuses(
    tenant_id: str, ids: Sequence[str], now: datetime
) -> Turn[Mapping[str, UploadStatus]]:
    return (yield from perform(Read(lambda store: store.statuses(tenant_id, ids, now))))
