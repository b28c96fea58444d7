"""The documents room's verbs, for `chat`, `api`, `web` and commands. Each is keyword-only, takes the acting person,
checks rights through `policy`, and changes and records in one transaction. Reads that need no verb start at `policy`.
"""

from .access import (
    AccessLine,
    Principal,
    Reason,
    access_report,
    collection_grants,
    document_grants,
    grant_collection,
    grant_document,
    revoke_collection,
    revoke_document,
    unrestrict_document,
)
from .asking import SearchResult, search
from .collections import create_collection, delete_collection, update_collection
from .lifecycle import UNCHANGED, cancel, delete, move, release, retry, update_document
from .reading import (
    WIDTHS,
    Original,
    PageView,
    Picture,
    State,
    documents,
    open_original,
    page,
    page_picture,
    state,
    states,
)
from .uploads import replace, upload

__all__ = [
    "UNCHANGED",
    "WIDTHS",
    "AccessLine",
    "Original",
    "PageView",
    "Picture",
    "Principal",
    "Reason",
    "SearchResult",
    "State",
    "access_report",
    "cancel",
    "collection_grants",
    "create_collection",
    "delete",
    "delete_collection",
    "document_grants",
    "documents",
    "grant_collection",
    "grant_document",
    "move",
    "open_original",
    "page",
    "page_picture",
    "release",
    "replace",
    "retry",
    "revoke_collection",
    "revoke_document",
    "search",
    "state",
    "states",
    "unrestrict_document",
    "update_collection",
    "update_document",
    "upload",
]
