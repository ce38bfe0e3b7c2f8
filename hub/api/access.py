"""Who may call a route: every route names one of these rules, and a test walks the routes.

People carry a session token, hospitals sign each request with their node key. The hub never acts on
a cookie, so that cross-site requests have nothing to ride on.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from fastapi import Request
from starlette.concurrency import run_in_threadpool

from compliance.errors import Refused
from compliance.signing.request import SCHEME, parse_authorization
from hub.services.accounts import Person
from hub.services.logbook import CONSORTIUM
from hub.services.standing import WAITING
from hub.wiring import Rooms

BACKGROUND = "x-consilium-background"
WAITS = "The members have not admitted this hospital yet: they sign its motion."
SEE_ALL = ("researcher", "auditor", "admin")


@dataclass(frozen=True)
class Caller:
    """Who calls, and the body as it came."""

    body: bytes
    person: Person | None = None
    site: str | None = None

    @property
    def known(self) -> Person:
        """The person; the access rule has made sure that there is one."""
        if self.person is None:
            raise Refused("authority", sentence="This is for signed-in people.")
        return self.person

    @property
    def hospital(self) -> str:
        """The site; the access rule has made sure that there is one."""
        if self.site is None:
            raise Refused("authority", sentence="This is for hospitals.")
        return self.site

    def reach(self) -> set[str] | None:
        """Hospitals whose studies this caller may read; None stands for every study.

        A hospital reads what names it, and so does its steward; nobody else is limited.
        """
        if self.site:
            return {self.site}
        if self.known.has(*SEE_ALL):
            return None
        return set(self.known.sites())

    def must_reach(self, sites: Collection[str]) -> None:
        """Let this caller read a study of these hospitals.

        Raises:
            Refused: it names no hospital of this caller.
        """
        reach = self.reach()
        if reach is not None and not reach & set(sites):
            who = self.site or self.known.name
            raise Refused("authority", who, "a hospital that the charter names")


class Access:
    """The rule of a route.

    Args:
        roles: roles of which one is needed; empty with `people` means any signed-in person.
        people: signed-in people may call.
        sites: member hospitals may call, by signed request.
        public: anybody may call.
        waiting: hospitals may call that have joined and are not admitted by the members yet.
        returning: hospitals may call that the members suspended, or that have left.
    """

    def __init__(
        self,
        *roles: str,
        people: bool = False,
        sites: bool = False,
        public: bool = False,
        waiting: bool = False,
        returning: bool = False,
    ) -> None:
        self.roles, self.people, self.sites, self.public = (
            roles,
            people or bool(roles),
            sites,
            public,
        )
        self.waiting, self.returning = waiting or returning, returning

    async def __call__(self, request: Request) -> Caller:
        """Take the body (its size was limited at the door) and say who calls.

        Raises:
            Refused: nobody, the wrong role, or a signature that does not hold.
        """
        body = await request.body()
        if self.public:
            return Caller(body)
        return await run_in_threadpool(self._judge, request, body)

    def _judge(self, request: Request, body: bytes) -> Caller:
        rooms: Rooms = request.app.state.rooms
        header = request.headers.get("authorization", "")
        if header.startswith(f"{SCHEME} "):
            site = rooms.members.admit(
                parse_authorization(header),
                request.method,
                _target(request),
                body,
                returning=self.returning or self._reads_the_members_log(request),
            )
            if not self.sites:
                raise Refused("authority", site, "a person with the right role")
            if not self._open_to_waiting(request) and rooms.members.standing_of(site) == WAITING:
                raise Refused("member.known", site, "a member", WAITS)
            return Caller(body, site=site)
        if not header.startswith("Bearer "):
            raise Refused("auth.session", sentence="Sign in first.")
        background = request.headers.get(BACKGROUND) == "1"
        person = rooms.accounts.person(header.removeprefix("Bearer "), background=background)
        if not self.people:
            raise Refused("authority", person.name, "a hospital's signed request")
        if self.roles and not person.has(*self.roles):
            raise Refused("authority", person.name, " or ".join(self.roles))
        return Caller(body, person=person)

    def _reads_the_members_log(self, request: Request) -> bool:
        """By this log a hospital learns that it is out, and how to come back."""
        return request.method == "GET" and request.path_params.get("log") == CONSORTIUM

    def _open_to_waiting(self, request: Request) -> bool:
        """What a hospital needs to see before it is a member: the consortium's own log."""
        return self.waiting or request.path_params.get("log") == CONSORTIUM


PUBLIC = Access(public=True)
PEOPLE = Access(people=True)
SITES = Access(sites=True)
WAITING_SITES = Access(sites=True, waiting=True)
MEMBERS = Access(people=True, sites=True)
WAITING_MEMBERS = Access(people=True, sites=True, waiting=True)
RETURNING_MEMBERS = Access(people=True, sites=True, returning=True)
RETURNING_SPEAKERS = Access("researcher", sites=True, returning=True)
WAITING_SPEAKERS = Access("researcher", sites=True, waiting=True)
RESEARCHER = Access("researcher")
ADMIN = Access("admin")
AUDIT = Access("auditor", "researcher")


def _target(request: Request) -> str:
    path = request.scope["raw_path"].decode("ascii")
    query = request.scope["query_string"].decode("ascii")
    return f"{path}?{query}" if query else path
