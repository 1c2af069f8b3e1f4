"""What no record is held to, because no book of the PBX tells it, or not surely; each with the Asterisk behaviour behind it.

`cti.core.retold` passes these over in every call, where `cti.core.explained` explains a difference that was found. The
texts stand in docs/scenarios.md, word for word.
"""

from collections.abc import Mapping

NOT_TOLD: Mapping[str, str] = {
    "hold": "Asterisk tells of hold and its end in AMI events alone: CEL has no event of it, queue_log no line.",
    "recording_of_a_program": (
        "CEL has MixMonitor where the dialplan runs it. Of one that a program begins or stops over AMI it has no row, "
        "and of a pause (MixMonitorMute) no book has any. One that CEL lacks, or that ended sooner, is taken for a program's."
    ),
    "agent_state": (
        "queue_log has logins and pauses, and neither states of devices nor a member's time to wrap up: in which state an "
        "agent was as a phone began to ring is in no book."
    ),
    "dial_status": (
        "app_dial sets DIALSTATUS on the channel that dials. CEL has the cause of each hangup, which several of its words share."
    ),
    "number_of_a_program": (
        "A channel that a program makes (Originate) begins in extension `s`; the number that was asked for stands nowhere in CEL."
    ),
    "number_of_a_channel": (
        "A channel's number changes as it is connected. AMI tells each change, CEL the number of the moment at which a row is "
        "written: which it had when is not told. The call's own numbers, and whose phone it is, are compared."
    ),
    "caller_of_a_program": (
        "On such a channel (application AppDial2) CEL has the number it was connected with, in place of the caller's."
    ),
    "caller_of_a_channel_just_born": (
        "Who calls, and that a program does, is set on a rung channel after it was made. An Asterisk that is killed in between "
        "has noted CHAN_START alone: of such a call neither caller nor direction is told."
    ),
    "hung_up_as_they_met": (
        "Each channel's thread notes its own leaving and hanging up. Where a talk lasted less than 0.1 s, or somebody who was "
        "sent on out of a talk (a blind transfer, a Redirect) hung up less than 0.5 s later, before they got there, the rows do "
        "not tell whose hangup it was that ended the call."
    ),
    "gave_up_or_time_over": (
        "A caller who gives up and a time to ring that is over both end with Asterisk hanging up caller and phone, within 0.1 s "
        "of each other, and CEL does not have which it did first. `cancelled` and `no_answer` agree then, and so do "
        "`abandoned` and `no_answer` of the transfer that rang there."
    ),
    "answered_in_between": (
        "A phone that is asked first (press 1) is picked up (ANSWER) before it is put through (BRIDGE_ENTER). CEL does not have "
        "the instant at which the call was accepted: it must lie between the two."
    ),
    "seat_untold": (
        "CEL has phones, queue_log agents. They are tied together by a login from the phone, a CONNECT, and a lone phone that "
        "rang as a member did not answer; where nothing of that was read, the books have no ringing and no talk of that agent, and "
        "do not say that a transfer was theirs."
    ),
    "refused_transfer": (
        "CEL notes BLINDTRANSFER and ATTENDEDTRANSFER when they succeed. One that the PBX refuses, or that fails, leaves no row."
    ),
    "full_or_join_empty": (
        "Why a queue turned a caller away stands in QUEUESTATUS, a variable of the channel, which no book has. That it did, "
        "which queue and when is CEL's run of Queue, and is compared."
    ),
    "end_of_an_agents_line": (
        "An agent of the agent pool (AgentLogin) keeps one channel all day, lent to one caller after the other. Its HANGUP has "
        "as `hangupsource` whoever spoke there last, hung up or not."
    ),
}
"""Name to text."""
