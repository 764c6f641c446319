import { RoomEditor } from "../clients/yjs/RoomEditor";
import { appOf } from "./programs";

export default appOf(RoomEditor);
