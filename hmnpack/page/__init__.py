"""HTML report of a bundle (not named `report`, which is the public function)."""

from hmnpack.page.decoding import gallery_of
from hmnpack.page.document import Evidence, page_of
from hmnpack.page.write import report

__all__ = ["Evidence", "gallery_of", "page_of", "report"]
