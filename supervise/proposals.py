"""What `supervise init` proposes: agents from files and from running programs, and a first file."""

from supervise.entry_scripts import from_folder
from supervise.proposed import Proposal
from supervise.proposed_file import agents_yaml
from supervise.running_programs import from_processes

__all__ = ["Proposal", "agents_yaml", "from_folder", "from_processes"]
