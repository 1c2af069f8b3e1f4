"""What the PBX's books do not tell of a call that nobody saw, scenario by scenario, and why.

A field is named as the fact's kind and its field (`talk.started_at`); a kind alone is a part that is there or is not.
"""

from collections.abc import Mapping

UNTOLD: Mapping[str, tuple[str, set[str]]] = {
    "agent_pool": ("the agent's own line has no sign of who ended it", {"call.ended_by"}),
    "agent_pool_in_a_queue": (
        "no book has the state of a member's device: some seconds after AgentLogin an agent of the pool can be called",
        {"attempt.agent_state_since"},
    ),
    "attended_by_feature_code_of_a_caller_who_hangs_up": ("CEL does not tell of a transfer that failed", {"transfer"}),
    "attended_impossible": ("CEL does not tell of a transfer that the PBX refused", {"transfer"}),
    "attended_three_way": ("CEL does not name who is swapped out of a bridge", {"talk.started_at"}),
    "dialler_calls_a_customer": ("CEL does not name the number a program dialled", {"call.dialed_number", "leg.number"}),
    "dialler_gives_no_number": ("likewise", {"call.dialed_number", "leg.number"}),
    "direct_to_an_agent_in_wrap_up": ("no book has a member's time to wrap up", {"attempt.agent_state"}),
    "direct_unreachable": ("DIALSTATUS is concluded from the cause", {"leg.dial_status"}),
    "half_finished_and_recalled": (
        "CEL says the same of a transfer to a ringing phone and of one to a phone that was answered",
        {"call", "transfer.kind", "transfer.result"},
    ),
    "half_finished_by_feature_code": (
        "likewise; and the target is not named",
        {"talk", "transfer.kind", "transfer.to"},
    ),
    "pickup_of_a_queue_call": ("nobody dialled the phone that took the call; in CEL it is one that answered", {"leg.dial_status"}),
    "queue_agent_leaves_in_announcement": ("queue_log's whole second", {"queue_stay.left_at"}),
    "queue_call_back": ("CEL has the connected number of an originated channel", {"call.caller_number", "call.caller_name"}),
    "queue_caller_hangs_up": ("CEL has no instant of the joining after an announcement", {"queue_stay.joined_at", "queue_stay.wait"}),
}  # fmt: skip
