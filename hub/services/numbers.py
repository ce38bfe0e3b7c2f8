"""Which number a new account gets: a researcher's key bears it in the logs, for ever.

On a successor the accounts begin anew, and the logs do not. Nobody may come by chance to the name
of a researcher of the lost hub; who was that researcher gets the number back by a choice.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from compliance.errors import NotReady
from compliance.rules.consortium.state import ConsortiumState
from hub.storage import accounts as rows
from hub.storage.database import Transaction


class Numbers:
    """Chooses numbers.

    Args:
        hub_name: first part of every researcher's key.
        founded: the state of the consortium, or None before there is one.
    """

    def __init__(self, *, hub_name: str, founded: Callable[[], ConsortiumState | None]) -> None:
        self._form = re.compile(re.escape(hub_name) + r"/r-([1-9]\d*)")
        self._founded = founded

    def of_logs(self) -> set[int]:
        """Numbers of researchers whom the consortium's log has ever named."""
        state = self._founded()
        found = [self._form.fullmatch(name) for name in (state.researchers if state else ())]
        return {int(match[1]) for match in found if match}

    def choose(self, session: Transaction, wanted: int | None, role: str) -> int:
        """The number of a new account: the next that nobody ever had, or the one asked for.

        Args:
            session: of the one who adds the account.
            wanted: a number of the logs that somebody comes back to; None takes a new one.
            role: what the person is to be.

        Raises:
            NotReady: the number is not in the logs, or somebody has it here.
        """
        known = self.of_logs()
        if wanted is None:
            return max(known | {rows.highest_number(session)}) + 1
        if wanted not in known or role != "researcher":
            raise NotReady(
                f"the logs know no researcher with the number {wanted}.",
                "Leave --number out for somebody new.",
            )
        if rows.account(session, wanted) is not None:
            raise NotReady(f"number {wanted} is another account's here.", "See `hub user list`.")
        return wanted
