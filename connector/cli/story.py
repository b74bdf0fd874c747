"""How the story of a return is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from connector.cli.output import detail_line, print_table

if TYPE_CHECKING:
    from connector.evidence.story import Story


def print_story(title: str, story: Story) -> None:
    """Print the entries in order."""
    carried = {message_id: view.type for view in story.documents for message_id in view.message_ids}
    print_table(
        title,
        ["time", "event", "document", "detail"],
        [
            (entry.time, entry.event, entry.document_type or carried.get(entry.message_id), detail_line(entry.detail))
            for entry in story.entries
        ],
    )
