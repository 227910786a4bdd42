"""One HTML page that shows a bundle (the room is not called `report`, as the function is)."""

from hmnpack.page.decoding import gallery_of
from hmnpack.page.document import Evidence, page_of
from hmnpack.page.write import report

__all__ = ["Evidence", "gallery_of", "page_of", "report"]
