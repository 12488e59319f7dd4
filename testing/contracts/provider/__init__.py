"""What every provider owes: the kit for the `Provider` port and its capabilities.

    class TestMyProvider(ProviderContract):
        def harness(self) -> ProviderHarness:
            return ProviderHarness(
                provider=MyProvider(),
                settings={"api_key": "${MY_KEY}", "endpoint": "http://127.0.0.1:9/api"},
                answer=lambda request: reply(201, b'{"id": "e-1"}'),
            )

Nothing is sent anywhere: the kit talks each dialogue through by hand and plays the platform. Where
it does not use the harness's `answer`, it gives the replies that the classification of replies is
about: every status from 100 to 599, replies that are cut short, bodies without a meaning, broken
connections.
"""

from .declarations import DeclarationRules, SettingsRules
from .dry_runs import BundleRules, DryRunRules
from .harness import ProviderHarness, sample_parcel
from .look_ups import LookUpRules
from .replies import ReplyRules
from .requests import BookmarkRules, RequestRules

__all__ = ["ProviderContract", "ProviderHarness", "sample_parcel"]


class ProviderContract(
    DeclarationRules,
    SettingsRules,
    RequestRules,
    BookmarkRules,
    ReplyRules,
    LookUpRules,
    DryRunRules,
    BundleRules,
):
    """The rules for a provider. Give it a `harness`."""
