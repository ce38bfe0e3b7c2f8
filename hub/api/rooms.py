"""How a route reaches the hub's parts."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from hub.wiring import Rooms


def rooms_of(request: Request) -> Rooms:
    """The parts that `create_app` was given."""
    rooms: Rooms = request.app.state.rooms
    return rooms


Hub = Annotated[Rooms, Depends(rooms_of)]
