"""A tenant's settings for Sprinto."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias
from urllib.parse import urljoin, urlsplit

from attrs import field, frozen

from ....delivery.dialogues.settings import one_line
from ....domain.secrets.secret import Secret

MOST_FILES: Final = 10
"""How many files Sprinto takes in one request, as documented."""

Region: TypeAlias = Literal["us", "eu", "india"]
"""Where the account lives. Third parties claim the addresses for GraphQL: us in several clients, eu
and india in one. Those of REST are inferred from them, but for us."""
Api: TypeAlias = Literal["graphql", "rest"]


_HOSTS: Final = {"us": "app", "eu": "eu", "india": "in"}
_PATHS: Final = {"graphql": "dev-api/graphql", "rest": "api/v1/uploadEvidence"}


@frozen(kw_only=True)
class SprintoSettings:
    """A tenant's settings for Sprinto; docs/configuration.md describes each.

    Sprinto lists no words of `evidenceStatus`, so `success_statuses` says which mean success.
    `files_per_request` is bounded as documented; `bytes_per_request` is a guess.
    """

    api_key: Secret
    workflow_check: str = field(validator=one_line)
    region: Region = "us"
    endpoint: str | None = None
    api: Api = "graphql"
    success_statuses: tuple[str, ...] = ("UPLOAD_COMPLETE",)
    files_per_request: int = MOST_FILES
    bytes_per_request: int = 25_000_000

    @property
    def url(self) -> str:
        """Where uploads go."""
        return self.endpoint or self._endpoint(self.api)

    def _endpoint(self, api: Api) -> str:
        return f"https://{_HOSTS[self.region]}.sprinto.com/{_PATHS[api]}"

    @property
    def checks_url(self) -> str:
        """Where the checks are listed: only GraphQL does that, at the same server."""
        graphql = self._endpoint("graphql")
        if self.endpoint is None or self.api == "graphql":
            return self.endpoint or graphql
        return urljoin(self.endpoint, urlsplit(graphql).path)
