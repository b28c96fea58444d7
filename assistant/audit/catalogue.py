"""Every action that the audit log knows. Knows: names, words for people, weight. Does not know: who does them where
(`coverage` maps addresses and tasks to actions and shares the version).

A new action, address or task is a new line and a new VERSION with its digest in PINNED, where earlier ones stay; an
action never changes its meaning. Recording an unknown action is a programming error. Severity follows CEF: 0 (routine)
to 10.
"""

from __future__ import annotations

from dataclasses import dataclass

VERSION = 16
PINNED = {
    3: "38bf75a3bb37dfa5cd325852c20a4a4a8335fb40a92d5eb9b6dca3cac677f08a",
    4: "96887b3e08be4b7ee8e968472d55cc56d089731ff59dc68aeacbba76026e7d0d",
    5: "4257b56af529ec357d15bc4c69d9baaf0728ea947fe863252b9387f7ebb1a702",
    6: "0d61932205c2877606599b2e419c8f339629d1cfa3f1ecd4d801408b3978ecfa",
    7: "00e395ca7e9a2b47640772458cc9ac7af44ca65dd234f266ab0005eb2cf180fb",
    8: "6d5bcc1cd9ce3770b8b31bcca4398772e43f80685dce446d5be4156ed0c2aedf",
    9: "a3f07a408e8b0c951a9f275eda103a26d5b6fcd24cd982f2cc671d27c7817e12",
    10: "ff9e35dc9ba94f48687ce4c2b06bb852cf84f2bfafc8bb75099a76c4825ab598",
    11: "4d87221ad6fcdd6efaa346e00e6f55ca6a758c573d6287b60b390de7007c1f66",
    12: "ea3a382068221f341463ee6f50d3d1a17454e88b3c871922542d356e67308d83",
    13: "f6fc33d26a7e0f23c329107eb496fd5ac2fdfbbbec2b6f78ddb4e69795a897b5",
    14: "6aecf47bb361f9b5d12f6ed64a527b2b304285a1598b77531983ec4ceeaec5c5",
    15: "26f610356107e85f0a68174b0aeef2d8e7964a20156c1847fb12b1918752a940",
    16: "5c1b124b2d8c3bfc8a2d7b6cfb99d4efe88c459388b9bfcb6c64cf713212f54f",
}
OUTCOMES = ("intent", "success", "refused", "failed")


@dataclass(frozen=True, slots=True)
class Action:
    name: str
    words: str
    severity: int


_LINES = """
auth.sign_in                3 Signed in
auth.sign_out               1 Signed out
auth.refused                6 Sign-in refused
access.denied               6 Access denied
account.created             5 Person created
account.changed             5 Person changed
account.disabled            6 Person disabled
account.enabled             6 Person enabled
account.password_changed    5 Password changed
account.exported            5 Personal data exported
account.erased              7 Person erased
team.created                4 Team created
team.changed                4 Team changed
team.deleted                5 Team deleted
team.member_added           5 Member added to a team
team.member_removed         5 Member removed from a team
token.issued                6 API token issued
token.revoked               4 API token revoked
collection.created          4 Collection created
collection.changed          4 Collection changed
collection.deleted          7 Collection deleted
grant.added                 6 Access granted
grant.changed               6 Access changed
grant.removed               5 Access revoked
document.uploaded           3 Document uploaded
document.ready              1 Document ready
document.failed             4 Document could not be read
document.cancelled          3 Reading of a document cancelled
document.retried            2 Reading of a document tried again
document.quarantined        6 Document quarantined
document.released           6 Document released from quarantine
document.replaced           4 Document replaced by a new version
document.changed            3 Document's facts changed
document.moved              5 Document moved
document.restricted         5 Document restricted
document.unrestricted       6 Restriction of a document lifted
document.deleted            6 Document deleted
document.erased             6 Document's content erased
document.downloaded         4 Original downloaded
document.page_viewed        2 Page of a document viewed
document.hidden_viewed      4 Hidden text of a document viewed
search.asked                2 Search asked
search.shown                2 Search results shown
answer.asked                2 Question asked
answer.shown                2 Answer shown
answer.refused              4 Question refused
answer.cancelled            1 Answer cancelled
answer.failed               4 Answer failed
answer.viewed               1 Answer viewed again
answer.replayed             3 Answer replayed
answer.withheld             4 Answer withheld from its owner
answer.feedback             1 Feedback on an answer
conversation.changed        1 Conversation renamed
conversation.restored       1 Conversation restored
conversation.deleted        3 Conversation deleted
conversation.erased         3 Conversation erased
conversation.exported       4 Conversation exported
model.changed               7 Model installed or chosen
model.measured              2 Speed of a model measured
golden.changed              5 Golden set of questions changed
golden.run                  2 Golden set asked
golden.reference            5 Reference run of the golden set chosen
golden.drifted              8 Answers became worse than the reference run
questions.made              5 Question file made from documents or conversations
questions.exported          6 Question file taken out for training
questions.removed           4 Question file removed
setting.changed             7 Setting changed
vault.rotated               8 Keys wrapped anew under a new master key
personal_data.policy_changed 7 Policy on personal data changed
personal_data.dictionary_changed 6 Dictionary of personal data changed
personal_data.revealed      8 Pseudonym turned back
personal_data.map_exported  5 Map of personal data exported
hold.placed                 6 Legal hold placed
hold.lift_asked             6 Lifting of a legal hold asked for
hold.lifted                 7 Legal hold lifted
hold.kept                   7 Something was to be erased and a legal hold kept it
egress.refused              9 Connection to the outside refused
audit.viewed                3 Audit log viewed
audit.verified              3 Audit log verified
audit.exported              5 Audit log exported
audit.forwarding            6 Forwarding of the audit log to a collector
audit.opening_asked         7 Opening of an audited text asked for
audit.opening_approved      8 Opening of an audited text approved
audit.opening_declined      5 Opening of an audited text declined
audit.content_opened        8 Audited text opened
audit.notice_read           1 Notice of an opened text read
audit.content_erased        6 Audited text erased
audit.segment_sealed        1 Audit segment sealed
audit.pruning_asked         7 Removal of old audit events asked for
audit.pruning_approved      8 Removal of old audit events approved
audit.pruning_declined      5 Removal of old audit events declined
audit.pruned                8 Old audit events removed
audit.query_saved           1 Search of the audit log saved
audit.query_removed         1 Saved search of the audit log removed
"""

ACTIONS: dict[str, Action] = {
    name: Action(name, words, int(severity))
    for name, severity, words in (line.split(maxsplit=2) for line in _LINES.strip().splitlines())
}
