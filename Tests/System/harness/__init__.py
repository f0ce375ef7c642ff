"""What the system tests stand on: namespaces, routers, a wire with delay and loss, and the programs."""

from .case import Case
from .network import Network
from .nodes import Node, Server, Viewer

__all__ = ["Case", "Network", "Node", "Server", "Viewer"]
