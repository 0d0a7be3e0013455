"""What the tests of the gateway share: calls with given outcomes, and a ledger that records its calls."""

from dataclasses import dataclass, field

from resources.gateway.calls import Answer, Api, Call, TokenUsage

WORST = 0.5
OK = Answer("value", {"text": "value"}, 0.01, TokenUsage(prompt=10, output=5))

ONCE = ["reserve", "confirm", "send", "finalize"]


@dataclass
class RecordingLedger:
    """A ledger that records its calls, in order."""

    refuses: Exception | None = None
    looks: list = field(default_factory=list)
    events: list = field(default_factory=list)
    settlements: list = field(default_factory=list)

    async def reserve(self, call):
        self.events.append("reserve")
        self.looks.append(call.labels.get("look") and call.labels["look"]())
        if self.refuses:
            raise self.refuses
        return f"attempt {self.events.count('reserve')}"

    async def confirm(self, attempt_id):
        self.events.append("confirm")

    def finalize(self, attempt_id, call, settlement):
        assert attempt_id == f"attempt {len(self.settlements) + 1}"
        self.events.append("finalize")
        self.settlements.append(settlement)

    def waiting(self, api, reason, since):
        self.events.append(f"waiting: {reason}")
        self.looks.append(since)

    def answered(self, api):
        self.events.append("answered")


def call(*outcomes, timeout_seconds=60.0, events=None):
    """A call whose attempts have these ``outcomes``, one after the other; the last one repeats."""
    left = list(outcomes)

    async def send():
        if events is not None:
            events.append("send")
        outcome = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(outcome, BaseException):
            raise outcome
        if callable(outcome):
            return await outcome()
        return outcome

    return Call(Api.LLM, "post", "task", 1, {}, send, worst_case_usd=WORST, timeout_seconds=timeout_seconds)
