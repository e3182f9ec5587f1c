// The following of a stream is fetched when there is one to follow.
export { follow } from '@xinglin/api'
