"""What every page shares: its states in words, acts that lead to the confirm page, the footer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Literal, NoReturn, TypeVar, cast

import streamlit as st

from compliance.errors import ConsiliumError, NotReady, Refused, Unreachable
from dashboard import session, style, words, words_consortium
from dashboard.checking import Checked, check_log, vanished
from dashboard.hub_client import open_hub
from dashboard.remembered import Memory

Answer = TypeVar("Answer")
ENDED, FORBIDDEN = "auth.session", "authority"
LAST, STALE = "last answers", "stale"
CHECK_SECONDS = 10


def now() -> datetime:
    """The time of this draw."""
    return datetime.now(UTC)  # noqa: TID251 - the one clock of the pages


def begin(title: str, intro: str = "", *, icon: str = "") -> None:
    """Head of a page."""
    st.session_state[STALE] = False
    st.title(f"{icon} {title}".strip())
    if intro:
        st.markdown(f":gray[{intro}]")


def only(*roles: str) -> None:
    """Draw the forbidden panel for everybody else and end the page; the hub enforces it anyway."""
    if not session.identity().has(*roles):
        wanted = words.listed([words.ROLES[role].lower() for role in roles])
        _forbidden(f"This page is for the role {wanted}.")


def ask(name: str, question: Callable[[], Answer], *, loading: str = "") -> Answer:
    """Ask the hub; when it is silent, show its last answer with its age, without buttons.

    Args:
        name: what is asked, for the next time.
        question: the call.
        loading: what is said when it takes long.
    """
    kept = st.session_state.setdefault(LAST, {})
    key = (session.identity().name, name)
    with problems():
        try:
            with st.spinner(loading or "Asking the hub …", show_time=False):
                answer = question()
        except Unreachable as error:
            if key not in kept:
                raise
            answer, at = kept[key]
            _stale(at, error)
            return cast("Answer", answer)
        kept[key] = (answer, now())
        return answer


def stale() -> bool:
    """Whether this page shows old answers; acts are shut then."""
    return bool(st.session_state.get(STALE))


@contextmanager
def problems() -> Iterator[None]:
    """Say what went wrong in words, with the next step, and end the page."""
    try:
        yield
    except Refused as error:
        if error.rule == ENDED:
            _ended()
        if error.rule == FORBIDDEN:
            _forbidden(str(error))
        _trouble("The hub refused this", str(error), "")
    except Unreachable as error:
        _trouble("The hub does not answer", error.finding, error.fix)
    except NotReady as error:
        _trouble("Not there", error.finding, error.fix)
    except ConsiliumError as error:
        _trouble("Something is wrong with an answer", str(error), "Try again.")


def act(  # noqa: PLR0913 - what a button is, by keyword
    label: str, action: str, subject: str, body: dict[str, Any] | None = None, *,
    icon: str | None = None, primary: bool = False, disabled: bool = False, key: str | None = None,
) -> None:  # fmt: skip
    """A button that prepares an act; the person confirms it on a plain page.

    Args:
        label: what will be done.
        action: name of the act at the hub.
        subject: what it is about.
        body: what goes with it.
        icon: picture on the button.
        primary: whether it is the main thing of its page.
        disabled: whether it cannot be done now.
        key: name of the button, where a label stands twice.
    """
    shut = disabled or stale()
    kind: Literal["primary", "secondary"] = "primary" if primary else "secondary"
    if not st.button(label, icon=icon, type=kind, disabled=shut, key=key or f"act:{action}"):
        return
    with problems(), open_hub() as hub:
        intent = hub.prepare(action, subject, body)
    st.info(
        "This is prepared; nothing has happened yet. The next page says what follows from it and "
        "asks for your yes.",
        icon=":material/edit_square:",
    )
    st.link_button(
        "Look and confirm", f"/confirm?intent={intent['id']}",
        icon=":material/arrow_forward:", type="primary",
    )  # fmt: skip


def empty(sentence: str, step: str) -> None:
    """Nothing here yet: one sentence and the next step."""
    with st.container(border=True):
        st.markdown(f"**{sentence}**")
        st.markdown(step)


def badge(state: str, label: str | None = None) -> None:
    """A state: glyph, word and colour."""
    icon, colour = style.BADGES.get(state, (":material/circle:", "gray"))
    table = {
        **words_consortium.STANDINGS, **words_consortium.WAITING, **words_consortium.REACH,
        **words.PHASES, **words.SITE_STATES, **words.STANDINGS,
    }  # fmt: skip
    st.badge(label or table.get(state, state), icon=icon, color=cast("Any", colour))


@st.cache_resource(scope="session", ttl=CHECK_SECONDS, max_entries=20, show_spinner=False)
def _checked(log: str, nonce: int) -> Checked:  # a name with _ before it is not in the key
    given, known = session.settings(), policies()
    with open_hub() as hub:
        return check_log(
            hub, log, memory=Memory(given.home / "checkpoints"),
            now=lambda: int(now().timestamp()), policies=known,
        )  # fmt: skip


def policies() -> list[str]:
    """The policies that the operator obtained: one file, or a folder with one for each log.

    Raises:
        NotReady: one of them cannot be read.
    """
    path = session.settings().policy_file
    if path is None:
        return []
    try:
        files = sorted(path.glob("*.txt")) if path.is_dir() else [path]
        return [file.read_text(encoding="utf-8") for file in files]
    except (OSError, UnicodeDecodeError):
        raise NotReady(
            "the policy file of this dashboard cannot be read.",
            "Its operator corrects --policy-file.",
        ) from None


def checked(log: str) -> Checked:
    """What this process found about a log, at most 10 s old; nobody changes it.

    Args:
        log: `consortium`, or the id of a study.
    """
    nonce = int(st.session_state.get("looks", 0))
    return ask(f"checked {log}", lambda: _checked(log, nonce), loading="Checking the log …")


def gone(log: str) -> Checked | None:
    """A log that was seen here before and that the hub says does not exist."""
    return vanished(Memory(session.settings().home / "checkpoints"), log)


def verify_again() -> None:
    """Check at the next draw whatever the age of the last result."""
    st.session_state["looks"] = int(st.session_state.get("looks", 0)) + 1


def footer(found: Checked, names: words.Names) -> None:
    """Log size, root, who cosigned and whether this was checked here."""
    st.divider()
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        badge(found.standing)
        st.markdown(f"Log: **{found.size} entries**")
        if found.root:
            st.markdown(f"Root `{found.root[:8]}`")
        if found.cosigned:
            who = words.listed([words.hospital(site, names) for site in sorted(found.cosigned)])
            at = datetime.fromtimestamp(max(found.cosigned.values()), UTC)
            st.markdown(f"Cosigned by {who}, last at {at:%H:%M} UTC")
        else:
            st.markdown("No cosignature quorum yet")
        here = (
            "Checked by this dashboard"
            if found.standing == "proven"
            else "Read and recomputed here"
        )
        st.markdown(f":gray[{here}]")


def _stale(at: datetime, error: Unreachable) -> None:
    if not stale():
        st.warning(
            f"The hub is silent: {error.finding} This is what it said at {at:%H:%M} UTC; "
            "buttons are off until it answers.",
            icon=":material/cloud_off:",
        )
    st.session_state[STALE] = True


def _ended() -> NoReturn:
    st.warning("Your session has ended. Sign in again.", icon=":material/lock:")
    st.link_button("Sign in", "/login", type="primary")
    st.stop()


def _forbidden(sentence: str) -> NoReturn:
    st.warning(
        f"{sentence} An administrator of your consortium can give you a role.",
        icon=":material/lock:",
    )
    st.stop()


def _trouble(what: str, means: str, fix: str) -> NoReturn:
    st.error(f"**{what}.** {means} {fix}".strip(), icon=":material/error:")
    st.button("Try again", icon=":material/refresh:", key="retry")
    st.stop()
