"""Rooms as one node holds them: members, replica, journal, presence."""
