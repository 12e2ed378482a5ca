"""The review room: doubtful cases reach a person."""
