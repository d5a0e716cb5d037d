"""The errors of the store that a client can see.

ServerError
├── QuotaUsedUp                 403  the key has as many files, bytes or batches as it may
├── ObjectNotFound              404  no file, upload or batch of this id, or it is another key's
└── StorageFull                 507  the disk is full
"""

from dataclasses import dataclass

from server.errors import ServerError


@dataclass(eq=False)
class ObjectNotFound(ServerError, status=404, kind="invalid_request_error", code="not_found"):
    """No such object of the store, as far as this key can see."""

    what: str
    id: str
    field: str = "id"

    @property
    def message(self) -> str:
        return f"No such {self.what}: {self.id[:100]}."


@dataclass(eq=False)
class QuotaUsedUp(ServerError, status=403, kind="permission_error", code="quota_used_up"):
    """The key keeps as much as it may."""

    what: str
    limit: int
    remedy: str

    @property
    def message(self) -> str:
        return f"This would be more than the {self.limit} {self.what} that one API key may have. {self.remedy}"


@dataclass(eq=False)
class StorageFull(ServerError, status=507, code="storage_full"):
    """Nothing was stored."""

    @property
    def message(self) -> str:
        return "The server's disk is full, so nothing was stored."
