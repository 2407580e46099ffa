"""What happens beside the training steps."""

from invariantnets.callbacks.collapse import CollapseAlarm
from invariantnets.callbacks.online_probes import OnlineProbes
from invariantnets.callbacks.ranks import attend

__all__ = ["CollapseAlarm", "OnlineProbes", "attend"]
