"""What each command of the page does to a session, where that is all it does."""

from __future__ import annotations

from worldmodel.play import protocol
from worldmodel.play.session import Session


def obey(session: Session, command: protocol.Command) -> None:
    """Change the session as the command says. Runs in the engine's thread."""
    match command:
        case protocol.Run(on):
            session.run(on)
        case protocol.Seek(t):
            session.run(False)
            session.seek(t)
        case protocol.Branch():
            session.branch()
        case protocol.Switch(future):
            session.switch(future)
        case protocol.Drop(future):
            session.drop(future)
        case protocol.Passes(count):
            session.passes = count
        case protocol.Speed(factor):
            session.speed = factor
        case protocol.Reset():
            session.begin(command)
        case protocol.Agent(on):
            session.let_agent_drive(on)
