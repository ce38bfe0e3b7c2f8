"""People come in by a one-time link and a password, and out when they or the clock say so."""

from __future__ import annotations

import threading

import pytest

from compliance.errors import NotReady, Refused, Unreachable
from hub.services.passwords import AT_ONCE, STRONG, Passwords
from tests.hub.house import PASSWORD, House, rows_of

WRONG = "another long password"


@pytest.fixture
def accounts(house: House):
    """The accounts of a new hub."""
    return house.rooms.accounts


def test_a_one_time_link_opens_once(accounts):
    """The second person with the same link stays outside."""
    code = accounts.add("celine", "researcher")
    assert accounts.enrolment(code) == {"name": "celine", "roles": ["researcher"]}
    accounts.enrol(code, PASSWORD)

    with pytest.raises(Refused) as refusal:
        accounts.enrol(code, WRONG)

    assert refusal.value.rule == "auth.code"
    assert accounts.sign_in("celine", PASSWORD)[1].has("researcher")


def test_a_one_time_link_expires_after_a_day(accounts, house):
    """A link that lay in a mailbox for long opens nothing."""
    code = accounts.add("celine", "researcher")
    house.time.forward(hours=24)

    with pytest.raises(Refused):
        accounts.enrol(code, PASSWORD)


def test_a_short_password_is_refused_and_the_link_stays_good(accounts):
    """Eleven characters are too few; nothing is used up by the attempt."""
    code = accounts.add("celine", "researcher")

    with pytest.raises(NotReady, match="12 characters"):
        accounts.enrol(code, "elevenchars")

    assert accounts.enrol(code, PASSWORD) == "celine"


def test_a_new_password_ends_every_session_and_every_older_link(accounts, house):
    """Whoever asks for a new password fears that somebody knows the old one."""
    token, _ = house.person("celine", "researcher")
    older, newer = accounts.add("celine", "researcher"), accounts.add("celine", "researcher")

    accounts.enrol(newer, WRONG)

    for act in (lambda: accounts.person(token), lambda: accounts.enrol(older, PASSWORD)):
        with pytest.raises(Refused):
            act()
    assert accounts.sign_in("celine", WRONG)


@pytest.mark.parametrize(
    ("name", "role", "site"),
    [
        ("celine", "root", ""),
        ("celine", "steward", ""),
        ("celine", "researcher", "north.example"),
        ("", "researcher", ""),
        ("celine dupont", "researcher", ""),
        ("c" * 65, "researcher", ""),
        ("celine", "steward", "north"),
    ],
)
def test_an_account_that_makes_no_sense_is_not_made(accounts, house, name, role, site):
    """An unknown role, a steward of nowhere: one sentence, and nothing is kept."""
    with pytest.raises(NotReady):
        accounts.add(name, role, site)

    assert rows_of(house.rooms.database, "account") == []


def test_passwords_and_tokens_are_kept_as_hashes_only(accounts, house):
    """Whoever steals the database cannot sign in with what he finds."""
    code = accounts.add("celine", "researcher")
    accounts.enrol(code, PASSWORD)
    token, _ = accounts.sign_in("celine", PASSWORD)

    for table in ("account", "enrolment", "web_session", "operation"):
        text = str(rows_of(house.rooms.database, table))
        for secret in (PASSWORD, code, token):
            assert secret not in text
    assert "$argon2id$" in str(rows_of(house.rooms.database, "account"))


def test_a_wrong_password_and_an_unknown_name_look_the_same(accounts, house):
    """A stranger learns no name."""
    house.person("celine", "researcher")
    said = set()
    for name in ("celine", "nobody"):
        with pytest.raises(Refused) as refusal:
            accounts.sign_in(name, WRONG)
        said.add((refusal.value.rule, str(refusal.value)))

    assert len(said) == 1


def test_an_account_without_a_password_cannot_sign_in(accounts):
    """Invited is not enrolled; there is no default password."""
    accounts.add("celine", "researcher")

    for password in ("", "nobody has this password", PASSWORD):
        with pytest.raises(Refused):
            accounts.sign_in("celine", password)


def test_wrong_passwords_make_one_wait_but_never_lock_out(accounts, house):
    """After five failures 1, 2, 4 … 60 s; a lock-out would be a lever for strangers."""
    house.person("celine", "researcher")

    def fail() -> str:
        with pytest.raises(Refused) as refusal:
            accounts.sign_in("celine", WRONG)
        return refusal.value.rule

    assert [fail() for _ in range(6)] == ["auth.password"] * 5 + ["auth.wait"]
    house.time.forward(seconds=1)
    assert [fail(), fail()] == ["auth.password", "auth.wait"]
    house.time.forward(seconds=1)
    assert fail() == "auth.wait"
    for _ in range(20):
        house.time.forward(seconds=60)
        fail()
    house.time.forward(seconds=60)

    assert accounts.sign_in("celine", PASSWORD)
    assert fail() == "auth.password"


def test_a_session_ends_after_half_an_hour_without_use(accounts, house):
    """Use keeps it alive, looking does not: a live page polls in the background."""
    token, _ = house.person("celine", "researcher")
    house.time.forward(minutes=20)
    accounts.person(token)
    house.time.forward(minutes=20)
    accounts.person(token, background=True)
    house.time.forward(minutes=11)

    with pytest.raises(Refused) as refusal:
        accounts.person(token, background=True)

    assert refusal.value.rule == "auth.session"


def test_a_session_ends_after_eight_hours_however_busy(accounts, house):
    """No session lives for ever."""
    token, _ = house.person("celine", "researcher")
    for _ in range(24):
        house.time.forward(minutes=20)
        accounts.person(token)
    house.time.forward(seconds=1)

    with pytest.raises(Refused):
        accounts.person(token)


def test_a_session_that_was_ended_opens_nothing(accounts, house):
    """Signing out bites at once; the person's other session goes on."""
    token, person = house.person("celine", "researcher")
    other, _ = accounts.sign_in("celine", PASSWORD)
    accounts.sign_out(person.session)

    with pytest.raises(Refused):
        accounts.person(token)
    assert accounts.person(other).name == "celine"


def test_a_person_ends_her_own_sessions_only(accounts, house):
    """The id of another person's session does nothing here, nor does a part of one's own."""
    token, celine = house.person("celine", "researcher")
    other, _ = house.person("david", "auditor")
    mine = accounts.sessions(celine)[0]["id"]
    davids = accounts.sessions(accounts.person(other))[0]["id"]

    for short in (davids, mine[:1], ""):
        accounts.end_session(celine, short)
    assert accounts.person(other)
    assert accounts.person(token)
    accounts.end_session(celine, mine)

    with pytest.raises(Refused):
        accounts.person(token)


def test_what_people_do_is_on_record_without_their_names(accounts, house):
    """Grants, sign-ins and failures, by number: the names can be erased."""
    house.person("celine", "researcher")
    with pytest.raises(Refused):
        accounts.sign_in("celine", WRONG)

    found = rows_of(house.rooms.database, "operation")

    assert [row["what"] for row in found] == [
        "role.granted",
        "enrolled",
        "signed.in",
        "password.wrong",
    ]
    assert "celine" not in str(found)


def test_only_three_passwords_are_checked_at_once():
    """Each takes 64 MiB: the fourth is told to come back, and nobody is checked half."""
    passwords = Passwords(patience=0)
    inside = threading.Barrier(AT_ONCE + 1)
    over = threading.Event()

    def wait_inside() -> None:
        with passwords.place():
            inside.wait()
            over.wait()

    threads = [threading.Thread(target=wait_inside) for _ in range(AT_ONCE)]
    for thread in threads:
        thread.start()
    inside.wait()

    with pytest.raises(Unreachable, match="Try again"):
        passwords.right("x", None)

    over.set()
    for thread in threads:
        thread.join()
    with passwords.place():
        pass


def test_passwords_cost_what_the_design_says():
    """argon2id with 64 MiB, three passes: the one expensive hash of this file."""
    stored = Passwords(hasher=STRONG).hash(PASSWORD)

    assert stored.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert Passwords().right(PASSWORD, stored)
