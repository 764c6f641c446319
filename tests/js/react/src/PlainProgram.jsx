import { PlainRoom } from "../clients/plain/PlainRoom";
import { appOf } from "./programs";

export default appOf(PlainRoom);
