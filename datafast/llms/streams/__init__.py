"""Replies that come as streams of events, put together to what their server would have answered without streaming."""
