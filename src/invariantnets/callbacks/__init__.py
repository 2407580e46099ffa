"""What happens beside the training steps."""

from invariantnets.callbacks.collapse import CollapseAlarm
from invariantnets.callbacks.online_probes import OnlineProbes

__all__ = ["CollapseAlarm", "OnlineProbes"]
