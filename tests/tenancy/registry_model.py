"""What the registry should be after any order of its verbs, and the comparison with what it is."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis.stateful import RuleBasedStateMachine, invariant

from plaza_core.principal import TenantScope
from plaza_core.rollout import WHOLE
from plaza_core.table import Visibility
from plaza_tenancy import Tenancy


@dataclass
class Marks:
    retired: bool = False
    withdrawn: bool = False
    staged: bool = False

    def callable(self) -> bool:
        return not (self.retired or self.withdrawn)


@dataclass
class Expected:
    """One alias. `stack`: the states that rollbacks return to, the present one last."""

    stack: list[int | None] = field(default_factory=list)
    rollout: str | None = None
    candidate: int | None = None

    @property
    def stable(self) -> int | None:
        return self.stack[-1] if self.stack else None

    def serving(self) -> set[int]:
        return {v for v in (self.stable, self.candidate) if v is not None}

    def end(self) -> None:
        self.rollout = self.candidate = None


class Checked(RuleBasedStateMachine):
    """The invariants; `registry_machine` tells them by their numbers."""

    tenancy: Tenancy
    admin: TenantScope
    name: str
    others: dict[str, TenantScope]
    marks: dict[int, Marks]
    aliases: dict[str, Expected]
    visibility: Visibility
    guests: set[str]

    def serving(self) -> set[int]:
        return set().union(*(alias.serving() for alias in self.aliases.values()))

    @invariant()
    def states_are_derived(self):
        if not self.marks:
            return
        model, serving = self.tenancy.records.get(self.admin, self.name), self.serving()
        assert serving <= set(self.marks), "S2: a serving version was removed"
        assert {v.version: v.state.value for v in model.versions} == {
            version: self.state(version, serving) for version in self.marks
        }, "S1"
        for version in serving:
            assert self.marks[version].callable(), "S2"
        for alias, expected in self.aliases.items():
            assert model.aliases.get(alias) == expected.stable
            split = model.splits.get(alias)
            assert (split is None) == (expected.rollout is None)
            if split is not None:
                assert split.versions() == expected.serving()
                assert sum(split.weights.values()) in {0, WHOLE}, "S3"

    def state(self, version: int, serving: set[int]) -> str:
        marks = self.marks[version]
        if marks.retired:
            return "retired"
        if version in serving:
            return "serving"
        if marks.withdrawn:
            return "registered"
        return "staged" if marks.staged else "examined"

    @invariant()
    def history_leads_here_and_back(self):
        if not self.marks:
            return
        for alias, expected in self.aliases.items():
            if not expected.stack:
                continue
            steps = self.tenancy.aliases.history(self.admin, self.name, alias)
            by_number = {step.sequence: step for step in steps}
            assert sorted(by_number) == list(range(1, len(steps) + 1))
            at = steps[0]
            assert (at.split is None) == (expected.rollout is None), "S4"
            walked = [at.version]
            if at.split is not None:
                at = by_number[at.back]
                assert at.version == walked[0]
            while at.back is not None:
                assert at.back < at.sequence, "S4: a way back leads back"
                at = by_number[at.back]
                assert at.split is None, "S4: no way back leads into a rollout"
                walked.append(at.version)
            assert walked[::-1] == expected.stack, "S4"

    @invariant()
    def the_table_holds_what_may_be_called(self):
        if not self.marks:
            return
        (model,) = self.tenancy.table().models
        live = {version for version, marks in self.marks.items() if marks.callable()}
        assert {v.version for v in model.versions} == live, "S6"
        assert model.aliases.keys() == {a for a, e in self.aliases.items() if e.stable is not None}
        for alias, version in model.aliases.items():
            named = model.splits[alias].versions() if alias in model.splits else {version}
            assert named <= live, "S6: the table names what is not in it"

    @invariant()
    def strangers_see_what_is_theirs_to_see(self):
        for name, scope in self.others.items():
            open_to = self.visibility is Visibility.PUBLIC or (
                self.visibility is Visibility.SHARED and name in self.guests
            )
            found = self.tenancy.records.visible(scope)
            assert bool(found) == (open_to and bool(self.marks)), "S7"
            assert len(self.tenancy.search.find(scope).items) == len(found), "S7"
            for model in found:
                live = {v for v, marks in self.marks.items() if marks.callable()}
                assert {v.version for v in model.versions} == live, "S7"
                assert model.splits == {}
                assert set(model.shared_with) <= {scope.organisation}
