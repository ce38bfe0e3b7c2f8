"""The hub's parts, put together by hand; the only place where clock and randomness are bound."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path

from compliance.errors import NotReady
from compliance.signing.certificate import Validity, validity_of
from compliance.signing.keys import SigningKey
from hub.services.accounts import AccountService, Person
from hub.services.acts import HandingOut, acts
from hub.services.amend_acts import amend_acts
from hub.services.catalogue import CatalogueService
from hub.services.charters import CharterService
from hub.services.clock import Clock, Random
from hub.services.consortium import ConsortiumService
from hub.services.count_acts import count_acts
from hub.services.counts import CountService
from hub.services.drafts import Drafter, Frame
from hub.services.exports import ExportService
from hub.services.held import Held
from hub.services.intents import Act, IntentService
from hub.services.keys import KeyStore
from hub.services.ledger import LedgerService
from hub.services.members import Hub, MemberService
from hub.services.motions import MotionService
from hub.services.numbers import Numbers
from hub.services.packages import ModelPackage
from hub.services.papers import ModelPapers
from hub.services.passwords import Passwords
from hub.services.people import PeopleService
from hub.services.proposals import ProposalService
from hub.services.rebuild import RebuildService
from hub.services.record_acts import record_acts
from hub.services.registry import ModelRegistry
from hub.services.releases import ReleaseService
from hub.services.retention import RetentionService
from hub.services.rotation import KeyRotation
from hub.services.rounds import RoundService
from hub.services.runs import RunService
from hub.services.scores import ScoreService
from hub.services.sealed import SealedService
from hub.services.starts import StartService
from hub.services.studies import StudyService
from hub.services.tiles import TileService
from hub.services.transfers import Transfers
from hub.services.trust import read_trust
from hub.services.weights import Aggregate, WeightService
from hub.settings import FILE, Settings, load_settings
from hub.storage.database import Database
from hub.storage.schema import check_revision, upgrade


def clock() -> datetime:
    """The time now, in UTC."""
    return datetime.now(UTC)


def nonce() -> str:
    """32 hex digits that nobody can guess."""
    return secrets.token_hex(16)


@dataclass
class Rooms:
    """Every part of the hub, made when it is first asked for.

    Args:
        settings: the hub's settings.
        clock: the time now.
        random: source of tokens and keys.
        superlink: tells the state of the SuperLink, where one is supervised.
        passwords: makes and checks password hashes.
    """

    settings: Settings
    clock: Clock = clock
    random: Random = secrets.token_bytes
    superlink: Callable[[], str] = lambda: "not here"
    passwords: Passwords = field(default_factory=Passwords)

    @cached_property
    def database(self) -> Database:
        """The hub's database."""
        if not (self.settings.home / FILE).is_file():
            raise NotReady(
                f"{self.settings.home} is not the home of a hub.",
                "Run `consilium hub init`, or name another home with --home.",
            )
        return Database(self.settings.url)

    def ready(self) -> None:
        """Check what must hold before anything is served.

        Raises:
            NotReady: the database has another revision, or a log was changed in it.
        """
        self.check_database()
        self.ledger.check()
        self.rebuilding.record_given_up()
        self.retention.sweep()

    def check_database(self) -> None:
        """Check that the database answers and has the revision of this release.

        Raises:
            NotReady: it has another revision.
        """
        check_revision(self.database)

    def upgrade(self) -> str:
        """Bring the database to the revision of this release; returns it."""
        return upgrade(self.database)

    @cached_property
    def keys(self) -> KeyStore:
        """The hub's own keys."""
        return KeyStore(folder=self.settings.keys, hub_name=self.settings.name, random=self.random)

    @cached_property
    def accounts(self) -> AccountService:
        """People and their sessions."""
        return AccountService(
            database=self.database,
            clock=self.clock,
            random=self.random,
            passwords=self.passwords,
            numbers=Numbers(hub_name=self.settings.name, founded=self.ledger.founded),
            idle=timedelta(minutes=self.settings.session_idle_minutes),
            longest=timedelta(hours=self.settings.session_hours),
        )

    @cached_property
    def members(self) -> MemberService:
        """The hospitals."""
        settings, database = self.settings, self.database
        hub = Hub(
            name=settings.name,
            address=settings.address,
            ca_sha256=hashlib.sha256(self.ca_path.read_bytes()).hexdigest(),
            events_vkey=str(self.keys.events.verifier),
            fleet_host=settings.host,
            fleet_port=settings.public_port,
        )
        return MemberService(
            database=database,
            clock=self.clock,
            random=self.random,
            hub=hub,
            trust=self._trust,
            logbook=self.ledger,
        )

    @cached_property
    def ledger(self) -> LedgerService:
        """The logs."""
        return LedgerService(
            database=self.database,
            events=self.keys.events,
            log_key=self.keys.log_in_force,
            clock=self.clock,
            nonce=lambda: self.random(16).hex(),
            pause=self.settings.checkpoint_seconds,
            held=self.held,
        )

    @cached_property
    def held(self) -> Held:
        """Logs that may only be read now."""
        return Held(self.settings.home)

    @cached_property
    def rebuilding(self) -> RebuildService:
        """Logs from the hospitals' mirrors."""
        return RebuildService(
            database=self.database,
            ledger=self.ledger,
            held=self.held,
            keys=self.keys,
        )

    @cached_property
    def rotation(self) -> KeyRotation:
        """The hub's own keys replaced."""
        return KeyRotation(ledger=self.ledger, keys=self.keys)

    @cached_property
    def catalogue(self) -> CatalogueService:
        """Recipes and data sets."""
        return CatalogueService(
            database=self.database, clock=self.clock, ledger=self.ledger, bundle=self._bundle
        )

    @cached_property
    def tiles(self) -> TileService:
        """Static tiles of the logs."""
        return TileService(database=self.database)

    @cached_property
    def consortium(self) -> ConsortiumService:
        """The agreement, and who belongs."""
        return ConsortiumService(
            ledger=self.ledger,
            motions=lambda: self.motions,
            members=self.members,
            keys=self.keys,
            clock=self.clock,
            bundle=self._bundle,
        )

    @cached_property
    def motions(self) -> MotionService:
        """Texts that wait for signatures."""
        return MotionService(
            database=self.database,
            ledger=self.ledger,
            clock=self.clock,
            founded=self.consortium.founded,
        )

    @cached_property
    def proposals(self) -> ProposalService:
        """Charters before the consortium."""
        return ProposalService(
            ledger=self.ledger,
            consortium=self.consortium,
            who=self.accounts.who,
            held=self.keys.researcher,
        )

    @cached_property
    def counts(self) -> CountService:
        """Questions how many, and answers."""
        return CountService(
            database=self.database,
            ledger=self.ledger,
            proposals=self.proposals,
            keys=self.keys,
            offered=self.catalogue.datasets,
            clock=self.clock,
            nonce=lambda: self.random(16).hex(),
        )

    @cached_property
    def registry(self) -> ModelRegistry:
        """Models."""
        return ModelRegistry(
            database=self.database,
            home=self.settings.home,
            clock=self.clock,
            recipe=self._model_words,
        )

    @cached_property
    def charters(self) -> CharterService:
        """Charters and their signatures."""
        return CharterService(
            database=self.database,
            drafter=Drafter(catalogue=self.catalogue, members=self.members),
            ledger=self.ledger,
            proposals=self.proposals,
            registry=self.registry,
            starts=self.starts,
            keys=self.keys,
            frame=self._frame,
            clock=self.clock,
        )

    @cached_property
    def starts(self) -> StartService:
        """Weights with which studies begin."""
        return StartService(
            home=self.settings.home,
            ledger=self.ledger,
            registry=self.registry,
            releases=self.releases,
            recipe=self.catalogue.recipe,
        )

    @cached_property
    def studies(self) -> StudyService:
        """What people see of studies."""
        return StudyService(charters=self.charters, ledger=self.ledger, members=self.members)

    @cached_property
    def runs(self) -> RunService:
        """Flower runs and leases."""
        return RunService(
            database=self.database,
            ledger=self.ledger,
            here=self.registry.ready,
            folder=self.registry.folder,
            clock=self.clock,
        )

    @cached_property
    def transfers(self) -> Transfers:
        """Bytes of messages that are under way."""
        return Transfers(self.clock)

    @cached_property
    def scores(self) -> ScoreService:
        """How unlike the others each hospital's updates were."""
        return ScoreService(self.registry.folder)

    def weights(self, aggregate: Aggregate) -> WeightService:
        """Models from hospitals' folders; how a round becomes a model is told by whoever asks."""
        return WeightService(
            database=self.database, ledger=self.ledger, registry=self.registry, aggregate=aggregate
        )

    @cached_property
    def rounds(self) -> RoundService:
        """What happens in rounds."""
        return RoundService(
            ledger=self.ledger,
            registry=self.registry,
            runs=self.runs,
            clock=self.clock,
            random=self.random,
            recipe=lambda sha256: self.catalogue.recipe(sha256),
        )

    @cached_property
    def releases(self) -> ReleaseService:
        """Which models may be handed out."""
        return ReleaseService(ledger=self.ledger, registry=self.registry)

    @cached_property
    def exports(self) -> ExportService:
        """Bundles and model files."""
        return ExportService(
            database=self.database,
            ledger=self.ledger,
            registry=self.registry,
            releases=self.releases,
            keys=self.keys,
            home=self.settings.home,
            clock=self.clock,
            random=self.random,
            names=self.people.printed,
        )

    @cached_property
    def papers(self) -> ModelPapers:
        """What goes with a model that is handed out."""
        return ModelPapers(ledger=self.ledger, releases=self.releases, recipe=self.catalogue.recipe)

    @cached_property
    def people(self) -> PeopleService:
        """The directory of persons."""
        return PeopleService(
            database=self.database,
            ledger=self.ledger,
            clock=self.clock,
            researcher=self.keys.researcher_name,
            exports=self.settings.home / "exports",
        )

    @cached_property
    def sealed(self) -> SealedService:
        """Sealed details."""
        return SealedService(
            database=self.database, ledger=self.ledger, clock=self.clock, random=self.random
        )

    @cached_property
    def retention(self) -> RetentionService:
        """How long records are kept, and their end."""
        sweeps = (self.registry.destroy, self.exports.destroy, self.keys.destroy_log_keys)
        return RetentionService(
            database=self.database, ledger=self.ledger, sweeps=sweeps, clock=self.clock
        )

    @cached_property
    def intents(self) -> IntentService:
        """Acts that wait for a yes."""
        return IntentService(
            database=self.database,
            accounts=self.accounts,
            acts=self.acts,
            clock=self.clock,
            random=self.random,
        )

    @cached_property
    def acts(self) -> dict[str, Act]:
        """Every act that a person confirms."""
        about = record_acts(self.ledger, self.sealed, self.retention)
        about |= count_acts(self.counts, self.accounts)
        about |= amend_acts(self.ledger, self.motions, self.keys)
        return about | acts(
            charters=self.charters,
            accounts=self.accounts,
            people=self.people,
            members=self.members,
            sealed=self.sealed,
            handing_out=HandingOut(
                exports=self.exports,
                releases=self.releases,
                package=ModelPackage(exports=self.exports, papers=self.papers),
                folder=self.settings.home / "exports",
            ),
            keys=self.keys,
        )

    def enrol_link(self, code: str) -> str:
        """The one-time link of an enrolment code."""
        base = self.settings.dashboard_url or self.settings.address
        return f"{base}/enrol?code={code}"

    @property
    def ca_path(self) -> Path:
        """The authority's certificate."""
        return self.settings.tls / "ca.pem"

    def certificate(self) -> Validity:
        """What the dates of this hub's own TLS certificate say now."""
        return validity_of(self.settings.tls / "server.pem", self.clock())

    def _trust(self) -> tuple[str, dict[str, str]]:
        signed = read_trust(self.settings.home)
        return signed.bundle_sha256, signed.signers

    def _bundle(self) -> str:
        return read_trust(self.settings.home).bundle_sha256

    def researcher_vkey(self, person: Person) -> str:
        """A researcher's public key: the own one, or the one that the hub keeps."""
        own = self.accounts.own_key(person)
        return own or str(self.keys.researcher(person.number).verifier)

    def _frame(self, log_key: SigningKey, researcher_vkey: str) -> Frame:
        return Frame(
            consortium=self.ledger.agreement_id(),
            origin=log_key.name,
            log_key=log_key,
            hub_vkey=str(self.keys.events.verifier),
            researcher_vkey=researcher_vkey,
            bundle_sha256=read_trust(self.settings.home).bundle_sha256,
            now=self.clock(),
        )

    def _model_words(self, study: str) -> dict[str, str]:
        charter = self.ledger.state(study).charter
        recipe = self.catalogue.recipe(charter.recipe.sha256)
        missing = {} if recipe.personal is None else {"missing_layers": recipe.personal.missing}
        return missing | {
            "study": study,
            "recipe": recipe.encode().decode(),
            "recipe_sha256": charter.recipe.sha256,
            "label_map_sha256": charter.task.label_map_sha256,
            "preprocessing_sha256": charter.task.preprocessing_sha256,
        }


def hub_rooms(settings: Settings) -> Rooms:
    """Put the hub together."""
    return Rooms(settings)


def rooms_in(home: Path | None) -> Rooms:
    """The hub of this home, or of the default one, for a command that reads its database.

    Raises:
        NotReady: there is no hub, or its database has another revision.
    """
    rooms = hub_rooms(load_settings(home))
    rooms.check_database()
    return rooms
