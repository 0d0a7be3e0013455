from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class UpdateWorldImageRequest(_message.Message):
    __slots__ = ("world_id", "image_uuid", "icon_uuid")
    WORLD_ID_FIELD_NUMBER: _ClassVar[int]
    IMAGE_UUID_FIELD_NUMBER: _ClassVar[int]
    ICON_UUID_FIELD_NUMBER: _ClassVar[int]
    world_id: str
    image_uuid: str
    icon_uuid: str
    def __init__(self, world_id: _Optional[str] = ..., image_uuid: _Optional[str] = ..., icon_uuid: _Optional[str] = ...) -> None: ...

class UpdateWorldImageResponse(_message.Message):
    __slots__ = ("success", "message")
    SUCCESS_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    success: bool
    message: str
    def __init__(self, success: _Optional[bool] = ..., message: _Optional[str] = ...) -> None: ...

class UpdateWorldParamsRequest(_message.Message):
    __slots__ = ("world_id", "params", "name", "users_count", "posts_count")
    WORLD_ID_FIELD_NUMBER: _ClassVar[int]
    PARAMS_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    USERS_COUNT_FIELD_NUMBER: _ClassVar[int]
    POSTS_COUNT_FIELD_NUMBER: _ClassVar[int]
    world_id: str
    params: str
    name: str
    users_count: int
    posts_count: int
    def __init__(self, world_id: _Optional[str] = ..., params: _Optional[str] = ..., name: _Optional[str] = ..., users_count: _Optional[int] = ..., posts_count: _Optional[int] = ...) -> None: ...

class UpdateWorldParamsResponse(_message.Message):
    __slots__ = ("success", "message")
    SUCCESS_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    success: bool
    message: str
    def __init__(self, success: _Optional[bool] = ..., message: _Optional[str] = ...) -> None: ...
