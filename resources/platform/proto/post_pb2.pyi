from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CreateAIPostRequest(_message.Message):
    __slots__ = ("character_id", "caption", "media_id", "world_id", "tags")
    CHARACTER_ID_FIELD_NUMBER: _ClassVar[int]
    CAPTION_FIELD_NUMBER: _ClassVar[int]
    MEDIA_ID_FIELD_NUMBER: _ClassVar[int]
    WORLD_ID_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    character_id: str
    caption: str
    media_id: str
    world_id: str
    tags: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, character_id: _Optional[str] = ..., caption: _Optional[str] = ..., media_id: _Optional[str] = ..., world_id: _Optional[str] = ..., tags: _Optional[_Iterable[str]] = ...) -> None: ...

class CreatePostResponse(_message.Message):
    __slots__ = ("post_id", "created_at")
    POST_ID_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    post_id: str
    created_at: str
    def __init__(self, post_id: _Optional[str] = ..., created_at: _Optional[str] = ...) -> None: ...

class GetCharacterPostsRequest(_message.Message):
    __slots__ = ("character_id", "limit", "offset", "world_id")
    CHARACTER_ID_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    WORLD_ID_FIELD_NUMBER: _ClassVar[int]
    character_id: str
    limit: int
    offset: int
    world_id: str
    def __init__(self, character_id: _Optional[str] = ..., limit: _Optional[int] = ..., offset: _Optional[int] = ..., world_id: _Optional[str] = ...) -> None: ...

class PostList(_message.Message):
    __slots__ = ("posts", "total", "next_cursor")
    POSTS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    NEXT_CURSOR_FIELD_NUMBER: _ClassVar[int]
    posts: _containers.RepeatedCompositeFieldContainer[Post]
    total: int
    next_cursor: str
    def __init__(self, posts: _Optional[_Iterable[_Union[Post, _Mapping]]] = ..., total: _Optional[int] = ..., next_cursor: _Optional[str] = ...) -> None: ...

class Post(_message.Message):
    __slots__ = ("post_id", "character_id", "display_name", "caption", "media_url", "created_at", "world_id")
    POST_ID_FIELD_NUMBER: _ClassVar[int]
    CHARACTER_ID_FIELD_NUMBER: _ClassVar[int]
    DISPLAY_NAME_FIELD_NUMBER: _ClassVar[int]
    CAPTION_FIELD_NUMBER: _ClassVar[int]
    MEDIA_URL_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    WORLD_ID_FIELD_NUMBER: _ClassVar[int]
    post_id: str
    character_id: str
    display_name: str
    caption: str
    media_url: str
    created_at: str
    world_id: str
    def __init__(self, post_id: _Optional[str] = ..., character_id: _Optional[str] = ..., display_name: _Optional[str] = ..., caption: _Optional[str] = ..., media_url: _Optional[str] = ..., created_at: _Optional[str] = ..., world_id: _Optional[str] = ...) -> None: ...
