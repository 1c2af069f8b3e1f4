"""The away rule (C3): whoever is away longer than the limit is reported and logged out.

One episode runs from leaving to being back. Pausing again, other queues and other reasons do not restart it: a
change of reason can only bring the limit nearer, and a return shorter than the grace does not end it. A call
the agent places stops neither clock nor report; a queue call in progress delays only the logout.

The machine is one table: what holds decides what is due next.

| episode                                   | due                        | then                                  |
|-------------------------------------------|----------------------------|---------------------------------------|
| open, not warned                          | `warn_at`                  | notice to the agent                   |
| open, not reported                        | `limit_at`                 | incident, notice to the lead, logout  |
| reported, on a queue call                 | when that call ends        | logout                                |
| reported, logout failed                   | `RETRY` seconds later      | logout                                |
| back                                      | grace after the return     | episode ends as of the return         |
| logged out                                | at once                    | episode ends                          |
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from cti.core.commands import Command, PauseMember, RemoveMember
from cti.core.facts import AwayEpisode, Fact, Incident, Notice
from cti.core.rules import AwayRule

RETRY = 10.0  # s between two tries to log an agent out
LISTED = "list"  # the source of an instant that was not seen: somebody was found so in a list
RULE = "rule"  # pause reason of a member the PBX will not remove
_INSTANTS = ("started_at", "warn_at", "limit_at", "warned_at", "reported_at", "logged_out_at")
_NOT_DYNAMIC = "not dynamic"  # app_queue's answer for a member written in queues.conf


@dataclass(frozen=True, slots=True)
class Presence:
    """What the away rule has to know about an agent at an instant."""

    agent: str
    away: bool  # logged in and paused in every queue, whatever else the agent does
    reason: str
    on_queue_call: bool
    members: tuple[tuple[str, str], ...]  # (queue, interface)


class AwayWatch:
    """The away rule for one agent on one PBX."""

    def __init__(self, pbx: str, agent: str, rule: AwayRule, episode: AwayEpisode | None = None) -> None:
        self.pbx = pbx
        self.agent = agent
        self.rule = rule
        self.episode = episode
        self.back_at: float | None = None
        self.retry_at: float | None = None
        self._back_found = False  # and not seen
        self._paused_instead = False

    def observe(
        self, now: Presence, at: float, found: float | None = None
    ) -> tuple[list[Fact], list[Command]]:
        """Take the agent's presence at `at`.

        `found` is given when that was not seen to become so, but found in a list: since when who is away then has been.
        """
        facts = self._back_for_good(at)  # first, for who tells books does not wait for what is due
        if not now.members:
            facts += self._logged_out(at, found)
        elif now.away:
            facts += self._leaves(now, at, found)
        elif self.episode is not None and self.back_at is None:
            self.back_at, self._back_found = at, found is not None
        facts += self._back_for_good(at)
        due, commands = self._due(now, at)
        return facts + due, commands

    def redate(self, seconds: float) -> AwayEpisode | None:
        """The PBX's clock was put: what goes on goes on in its new time; returns the episode as it is now."""
        if self.back_at is not None:
            self.back_at += seconds
        if self.retry_at is not None:
            self.retry_at += seconds
        episode = self.episode
        if episode is not None:
            instants = {name: getattr(episode, name) for name in _INSTANTS}
            moved = {name: at + seconds for name, at in instants.items() if at is not None}
            self.episode = replace(episode, **moved)
        return self.episode

    def learn(self, told: Sequence[AwayEpisode]) -> list[AwayEpisode]:
        """Take what the books know of the open episode: when it began, or that it ended and which one goes on.

        One that was reported stays as it was; so does one that is over by now. Returns the episodes as they are now.
        """
        now = self.episode
        if now is None or now.reported_at is not None or not told or told[0].id != now.id:
            return []
        known, latest = told[0], told[-1]
        if known.ended_at is None:
            guessed = f"started_at:{LISTED}" in now.sources
            began = known.started_at if guessed else min(now.started_at, known.started_at)
            later = max(0.0, began - now.started_at)  # the time counts from there
            limit, warn = min(now.limit_at + later, known.limit_at), min(now.warn_at + later, known.warn_at)
            self.episode = replace(now, started_at=began, warn_at=warn, limit_at=limit, sources=known.sources)
            return [self.episode]
        if latest.ended_at is not None:
            return []
        self.episode = latest
        if self.back_at is not None and self.back_at < latest.started_at:
            self.back_at = None
        return [known, latest]

    def next_deadline(self) -> float | None:
        """When `observe` must be called again even if nothing happens; None when nothing is due."""
        episode = self.episode
        if episode is None:
            return None
        if self.back_at is not None:
            return self.back_at + self.rule.grace
        if episode.reported_at is not None:
            return self.retry_at
        return episode.limit_at if episode.warned_at is not None else min(episode.warn_at, episode.limit_at)

    def answered(
        self, command: str, *, ok: bool, message: str, at: float
    ) -> tuple[list[Fact], list[Command]]:
        """Take the PBX's answer to one of our commands."""
        episode = self.episode
        if episode is None or not command.startswith(episode.id):
            return [], []
        if command.endswith("/pause"):
            if ok:
                self._paused_instead, self.retry_at = True, None
                return [self._incident(episode, "paused")], []
        elif not ok and _NOT_DYNAMIC in message.lower():
            interface = command.rsplit("/remove/", 1)[1].split("|", 1)[1]
            self.retry_at = at + RETRY
            return [], [PauseMember(f"{episode.id}/pause", self.pbx, interface, self.agent, RULE)]
        return [], []

    def wants(self, command: str) -> bool:
        """Whether this command is still called for: its episode was reported, and the agent is not back."""
        reported = self.episode is not None and self.episode.reported_at is not None
        return self.owns(command) and reported and self.back_at is None and not self._paused_instead

    def owns(self, command: str) -> bool:
        """Whether this command was sent by this watch's open episode."""
        return self.episode is not None and command.startswith(f"{self.episode.id}/")

    def _logged_out(self, at: float, found: float | None) -> list[Fact]:
        episode = self.episode
        if episode is None:
            return []
        facts: list[Fact] = []
        if episode.reported_at is not None and episode.logged_out_at is None:
            episode = replace(episode, logged_out_at=at)
            facts.append(self._incident(episode, "logged_out"))
        if self.back_at is None:
            self.back_at, self._back_found = at, found is not None
        facts.append(self._ended(episode, self.back_at))
        self._clear()
        return facts

    def _ended(self, episode: AwayEpisode, at: float) -> AwayEpisode:
        sources = (*episode.sources, f"ended_at:{LISTED}") if self._back_found else episode.sources
        return replace(episode, ended_at=at, sources=sources)

    def _leaves(self, now: Presence, at: float, found: float | None) -> list[Fact]:
        self.back_at = None
        episode = self.episode
        if episode is None:
            started = found if found is not None else at
            limit = started + self._limit(now.reason)
            episode_id = f"{self.pbx}-{self.agent}-{started:.6f}"
            warn_at = max(started, limit - self.rule.warn_before)
            sources = (f"started_at:{LISTED}",) if found is not None else ()
            episode = AwayEpisode(episode_id, self.pbx, self.agent, now.reason, started, warn_at, limit)
            self.episode = replace(episode, sources=sources)
            return [self.episode]
        if now.reason in {episode.reason, RULE}:  # what the rule did itself is no reason for having left
            return []
        limit = min(episode.limit_at, at + self._limit(now.reason))
        self.episode = replace(
            episode,
            reason=now.reason,
            limit_at=limit,
            warn_at=min(episode.warn_at, limit - self.rule.warn_before),
        )
        return [self.episode]

    def _back_for_good(self, at: float) -> list[Fact]:
        if self.episode is None or self.back_at is None or at < self.back_at + self.rule.grace:
            return []
        ended = self._ended(self.episode, self.back_at)
        self._clear()
        return [ended]

    def _clear(self) -> None:
        self.episode = None
        self.back_at = self.retry_at = None
        self._paused_instead = False

    def _due(self, now: Presence, at: float) -> tuple[list[Fact], list[Command]]:
        if self.episode is None or self.back_at is not None:
            return [], []
        facts = self._warning(self.episode, at) + self._report(self.episode, now, at)
        commands = self._logout(now, at)
        return facts, commands

    def _warning(self, episode: AwayEpisode, at: float) -> list[Fact]:
        if (
            episode.warned_at is not None
            or episode.reported_at is not None
            or not episode.warn_at <= at < episode.limit_at
        ):
            return []
        self.episode = replace(episode, warned_at=at)
        text = f"Agent {self.agent} is away ({episode.reason}); the limit is in {episode.limit_at - at:.0f} s"
        return [self.episode, Notice(f"{episode.id}/warning", self.pbx, "away_warning", at, self.agent, text)]

    def _report(self, episode: AwayEpisode, now: Presence, at: float) -> list[Fact]:
        if episode.reported_at is not None or at < episode.limit_at:
            return []
        self.episode = replace(self.episode or episode, reported_at=at)
        gone = at - episode.started_at
        text = f"Agent {self.agent} has been away for {gone:.0f} s ({episode.reason}), over the limit"
        result = "deferred" if now.on_queue_call else None
        return [
            self.episode,
            self._incident(self.episode, result),
            Notice(f"{episode.id}/limit", self.pbx, "away_limit", at, self.agent, text),
        ]

    def _incident(self, episode: AwayEpisode, result: str | None) -> Incident:
        at = episode.reported_at if episode.reported_at is not None else episode.limit_at
        detail = f"away ({episode.reason}) for {at - episode.started_at:.0f} s"
        return Incident(f"{episode.id}/limit", self.pbx, "away_limit", self.agent, at, detail, result)

    def _logout(self, now: Presence, at: float) -> list[Command]:
        episode = self.episode
        if episode is None or episode.reported_at is None:
            return []
        if self._paused_instead or now.reason == RULE:
            self.retry_at = None
            return []
        if now.on_queue_call:
            self.retry_at = None  # the end of that call brings us here again
            return []
        if self.retry_at is not None and at < self.retry_at:
            return []
        self.retry_at = at + RETRY
        return [
            RemoveMember(f"{episode.id}/remove/{queue}|{interface}", self.pbx, queue, interface, self.agent)
            for queue, interface in now.members
        ]

    def _limit(self, reason: str) -> float:
        return self.rule.limits.get(reason, self.rule.limit)
