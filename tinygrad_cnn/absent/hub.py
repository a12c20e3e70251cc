"""`torch.hub`: nothing is downloaded and run."""

from . import refusing

_WHY = "nothing is downloaded; load_state_dict() takes weights from a file"

load = refusing("torch.hub.load()", _WHY)
load_state_dict_from_url = load_url = download_url_to_file = refusing(
    "a download", _WHY
)
